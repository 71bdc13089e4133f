"""The model bundle: a folder with an ONNX encoder, its tokenizer, and a manifest that both are checked against."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

from model.errors import ModelError

FORMAT = 1
MANIFEST = "manifest.json"
ENCODER = "encoder.onnx"
TOKENIZER = "tokenizer.json"

TextField = Literal["title", "brand", "category", "attributes", "description"]


class BundleError(ModelError):
    """A bundle that cannot be used; one line that names both sides and the remedy."""


class TextSpec(msgspec.Struct, frozen=True):
    """How a product becomes text: the fields in this order, joined by the separator."""

    fields: tuple[TextField, ...] = ("title", "brand", "category", "attributes", "description")
    separator: str = " | "


class ImageSpec(msgspec.Struct, frozen=True):
    """How an image becomes numbers: shorter side resized, centre cut out, (value / 255 - mean) / std by channel."""

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest; docs/model-bundle.md explains each field."""

    format: int
    name: str
    dim: int
    metric: str
    max_tokens: int
    inputs: tuple[str, ...]
    sha256: dict[str, str]
    source: str
    licence: str
    created_at: str
    text: TextSpec = TextSpec()
    image: ImageSpec | None = None


class Versioned(msgspec.Struct, frozen=True):
    """What a manifest of any format has."""

    format: int


def sha256_of(file: Path) -> str:
    """Hex digest of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, readable by people."""
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


def digest_of(manifest: Manifest) -> str:
    """Hex digest of everything that a vector depends on: the files, and how a product becomes their input."""
    parts = (sorted(manifest.sha256.items()), manifest.max_tokens, manifest.text, manifest.image)
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def load_manifest(folder: Path) -> Manifest:
    """Read and check the manifest and the hash of every file.

    Raises:
        BundleError: not a bundle, of another format, incomplete or damaged.
    """
    try:
        raw = (folder / MANIFEST).read_bytes()
        _check_format(folder, msgspec.json.decode(raw, type=Versioned).format)
        manifest = msgspec.json.decode(raw, type=Manifest)
    except FileNotFoundError:
        raise BundleError(f"{folder} has no {MANIFEST}: name the folder of a model bundle, or make one") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{folder / MANIFEST} is not a manifest ({error}): export the bundle again") from None
    _check_supported(folder, manifest)
    for name in {ENCODER, TOKENIZER, *manifest.sha256}:
        _check_file(folder, name, manifest.sha256.get(name))
    return manifest


def _check_format(folder: Path, format: int) -> None:
    """Looked at before anything else: another format may have other fields."""
    if format != FORMAT:
        raise BundleError(f"{folder} has bundle format {format}, this version reads {FORMAT}: export it again")


def _check_supported(folder: Path, manifest: Manifest) -> None:
    if manifest.metric != "cosine":
        raise BundleError(
            f"{folder} is made for metric {manifest.metric!r}, this version serves 'cosine': export it again"
        )


def _check_file(folder: Path, name: str, expected: str | None) -> None:
    file = folder / name
    if not file.is_file():
        raise BundleError(f"{folder} lacks {name}, which its manifest promises: copy the whole bundle again")
    actual = sha256_of(file)
    if actual != expected:
        raise BundleError(f"{file} has sha256 {actual}, its manifest says {expected}: copy the whole bundle again")
