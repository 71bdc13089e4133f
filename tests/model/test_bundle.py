"""A damaged or mismatched bundle is refused, and the message names both sides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from model.bundle import ENCODER, MANIFEST, TOKENIZER, BundleError, load_manifest, sha256_of, write_manifest
from model.runtime import OnnxEncoder

MakeBundle = Callable[..., Path]


def test_a_sound_bundle_comes_back_as_it_was_written(make_bundle: MakeBundle) -> None:
    manifest = load_manifest(make_bundle(name="sound"))
    assert (manifest.name, manifest.dim, manifest.text.separator) == ("sound", 8, " | ")
    assert set(manifest.sha256) == {ENCODER, TOKENIZER}


@pytest.mark.parametrize("name", [ENCODER, TOKENIZER])
def test_a_flipped_byte_is_noticed(make_bundle: MakeBundle, name: str) -> None:
    file = make_bundle() / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match=rf"{name} has sha256 [0-9a-f]{{64}}, its manifest says [0-9a-f]{{64}}: "):
        load_manifest(file.parent)


@pytest.mark.parametrize("name", [ENCODER, TOKENIZER])
def test_a_missing_file_is_named(make_bundle: MakeBundle, name: str) -> None:
    folder = make_bundle()
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"lacks {name}"):
        load_manifest(folder)


def test_a_file_without_a_hash_is_not_trusted(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match="its manifest says None"):
        load_manifest(make_bundle(sha256={}))


def test_another_metric_is_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match="metric 'dot', this version serves 'cosine'"):
        load_manifest(make_bundle(metric="dot"))


def test_another_format_is_told_apart_from_damage(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text('{"format": 2, "fields": "of the future"}')
    with pytest.raises(BundleError, match="bundle format 2, this version reads 1"):
        load_manifest(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "name": "\xff"}'])
def test_a_broken_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match="is not a manifest"):
        load_manifest(tmp_path)


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=f"{tmp_path} has no {MANIFEST}"):
        load_manifest(tmp_path)


def test_a_dimension_that_the_graph_does_not_have_is_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match=r"gives shape \(2, 8\), the manifest's dim makes \(2, 9\)"):
        OnnxEncoder.load(make_bundle(dim=9), "cpu")


def test_another_output_name_is_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match=r"gives \['embedding'\] where the contract has \['vector'\]"):
        OnnxEncoder.load(make_bundle(output="embedding"), "cpu")


def test_inputs_that_the_graph_does_not_take_are_refused(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match=r"the graph takes .*'pixel_values'.*, the manifest says"):
        OnnxEncoder.load(make_bundle(images=True, inputs=("input_ids", "attention_mask"), image=None), "cpu")


def test_bytes_that_are_no_graph_are_refused(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    manifest = load_manifest(folder)
    (folder / ENCODER).write_bytes(b"no graph")
    hashes = manifest.sha256 | {ENCODER: sha256_of(folder / ENCODER)}
    write_manifest(folder, msgspec.structs.replace(manifest, sha256=hashes))
    with pytest.raises(BundleError, match="cannot be loaded"):
        OnnxEncoder.load(folder, "cpu")
