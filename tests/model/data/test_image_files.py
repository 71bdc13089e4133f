"""Images of a folder and of a zip: read when they are there, named when they are not."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from model.data.errors import DataError
from model.data.image_files import ImageFiles
from model.data.readers import read_named, read_own


def zipped(folder: Path, files: dict[str, bytes]) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    (folder / "images.zip").write_bytes(buffer.getvalue())
    return folder / "images.zip"


def test_images_are_read_from_a_folder_and_from_a_zip(tmp_path: Path) -> None:
    (tmp_path / "shoes").mkdir()
    (tmp_path / "shoes" / "1.jpg").write_bytes(b"one")

    assert ImageFiles(tmp_path).read("shoes/1.jpg") == b"one"
    assert ImageFiles(zipped(tmp_path, {"shoes/1.jpg": b"zip"})).read("shoes/1.jpg") == b"zip"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../out.jpg", "https://a.b/c.jpg", "data:image/png;base64,", "no.jpg", "link"]
)
def test_nothing_but_images_of_the_root_is_read(tmp_path: Path, packed: bool, name: str) -> None:
    (tmp_path / "out.jpg").write_bytes(b"secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "out.jpg")
    images = ImageFiles(zipped(root, {"1.jpg": b"one"}) if packed else root)

    with pytest.raises(DataError, match="image="):
        images.read(name)


def test_a_broken_zip_and_a_missing_root_are_named(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"no zip")

    with pytest.raises(DataError, match=r"cannot be read from .*images.zip"):
        ImageFiles(tmp_path / "images.zip").read("1.jpg")
    with pytest.raises(DataError, match="does not exist"):
        ImageFiles(tmp_path / "nowhere")
    with pytest.raises(DataError, match="does not exist"):
        read_own(tmp_path / "shop.jsonl", images=tmp_path / "nowhere")


@pytest.mark.shared
def test_images_of_the_fashion_set(shared_data: Path) -> None:
    dataset = read_named(shared_data, "fashion_images_1500")
    assert dataset.images is not None
    images = ImageFiles(dataset.images)

    assert all(images.read(product.image or "").startswith(b"\xff\xd8") for product in dataset.products.values())
