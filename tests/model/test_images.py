"""Image bytes to numbers, and bytes that are refused."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image

from model import images
from model.bundle import ImageSpec
from model.images import ImageInvalid, pixels


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def test_a_plain_colour_is_scaled_by_channel(image_spec: ImageSpec) -> None:
    values = pixels(encoded(Image.new("RGB", (9, 5), (255, 0, 51))), image_spec)
    assert values.shape == (3, 4, 4)
    assert values.dtype == np.float32
    assert np.allclose(values[0], 1.0)
    assert np.allclose(values[1], -2.0)
    assert np.allclose(values[2], (0.2 - 0.5) / 0.125)


def test_the_middle_is_kept(image_spec: ImageSpec) -> None:
    picture = Image.new("RGB", (12, 4), "black")
    picture.paste("white", (4, 0, 8, 4))
    assert np.allclose(pixels(encoded(picture), image_spec)[0], 1.0)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(image_spec: ImageSpec, mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert np.isfinite(pixels(encoded(Image.new(mode, (8, 8)), kind), image_spec)).all()


def test_what_is_transparent_is_white(image_spec: ImageSpec) -> None:
    assert np.allclose(pixels(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0))), image_spec)[1], 2.0)


def test_a_turned_photo_is_turned_back(image_spec: ImageSpec) -> None:
    picture = Image.new("RGB", (8, 8), "black")
    picture.paste("white", (0, 0, 8, 4))
    exif = picture.getexif()
    exif[0x0112] = 3
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", exif=exif)
    assert np.allclose(pixels(buffer.getvalue(), image_spec)[0, :, 0], [-1, -1, 1, 1], atol=0.2)


@pytest.mark.parametrize("data", [b"", b"no image", b"<svg/>", encoded(Image.new("RGB", (40, 40)))[:60]])
def test_other_bytes_are_refused(image_spec: ImageSpec, data: bytes) -> None:
    with pytest.raises(ImageInvalid, match="not a readable image"):
        pixels(data, image_spec)


def test_formats_beyond_the_list_are_refused(image_spec: ImageSpec) -> None:
    with pytest.raises(ImageInvalid, match="JPEG, PNG"):
        pixels(encoded(Image.new("RGB", (8, 8)), "TIFF"), image_spec)


@pytest.mark.parametrize("side", [7_100, 10_000, 14_000])
def test_a_bomb_is_refused_before_it_is_unpacked(image_spec: ImageSpec, side: int) -> None:
    """7,100 squared is above our limit, 10,000 above Pillow's warning, 14,000 above its error."""
    bomb = encoded(Image.new("1", (side, side)))
    assert len(bomb) < 100_000
    with pytest.raises(ImageInvalid, match="pixels"):
        pixels(bomb, image_spec)


def test_too_many_bytes_are_refused(image_spec: ImageSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 50)
    with pytest.raises(ImageInvalid, match="bytes, at most 50 are allowed"):
        pixels(encoded(Image.new("RGB", (8, 8))), image_spec)


@pytest.mark.parametrize("kind", images.FORMATS)
@pytest.mark.filterwarnings("ignore")
def test_damage_is_told_as_such(image_spec: ImageSpec, kind: str) -> None:
    """Whatever a decoder raises on damaged bytes, it comes out as ImageInvalid."""
    rng = random.Random(0)
    noise = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    sound = encoded(Image.fromarray(noise), kind)
    refused = 0
    for _ in range(60):
        data = bytearray(sound)
        for _ in range(4):
            data[rng.randrange(min(len(data), 400))] = rng.randrange(256)
        try:
            pixels(bytes(data), image_spec)
        except ImageInvalid:
            refused += 1
    assert refused > 0
