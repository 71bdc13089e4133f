"""A model bundle on disk: a folder with ``manifest.json``, ``encoder.onnx`` and ``tokenizer.json``."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from model.errors import BundleError
from model.manifest import FORMAT, IMAGE_INPUTS, METRIC, TEXT_INPUTS, Manifest

__all__ = ["Bundle", "BundleError", "load_bundle", "write_manifest"]

MANIFEST = "manifest.json"
ENCODER = "encoder.onnx"
TOKENIZER = "tokenizer.json"
REMEDY = "fetch or build the bundle again"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files are all there and are what the manifest says."""

    folder: Path
    manifest: Manifest

    @property
    def encoder(self) -> Path:
        """The ONNX file."""
        return self.folder / ENCODER

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's file."""
        return self.folder / TOKENIZER


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Hash every file of the folder, write ``manifest.json`` (atomically, durably) and return it as written."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST)
    written = msgspec.structs.replace(manifest, sha256={path.name: _sha256(path) for path in files})
    temporary = folder / f".{MANIFEST}"
    with temporary.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(written)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / MANIFEST)
    return written


def load_bundle(folder: Path) -> Bundle:
    """Read the manifest and check everything that can be checked without running the model.

    Raises:
        BundleError: no bundle, another format or metric, a missing or damaged file, or inputs that nothing fills.
    """
    manifest = _read_manifest(folder / MANIFEST)
    _check_settings(folder, manifest)
    for name, expected in manifest.sha256.items():
        _check_file(folder, name, expected)
    return Bundle(folder, manifest)


def _read_manifest(path: Path) -> Manifest:
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise BundleError(f"{path} cannot be read ({reason}): name the folder of a model bundle") from None
    try:
        found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("format", msgspec.Raw(b"null"))
        if bytes(found) != str(FORMAT).encode():
            raise BundleError(
                f"{path}: format is {bytes(found).decode()}, this version reads {FORMAT}: "
                "use the kinstream version that wrote the bundle, or export the model again"
            )
        return msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path} is not a valid manifest: {error}: {REMEDY}") from None


def _check_settings(folder: Path, manifest: Manifest) -> None:
    path = folder / MANIFEST
    if manifest.metric != METRIC:
        raise BundleError(
            f"{path}: metric is {manifest.metric!r}, this version serves {METRIC!r}: export the model for it"
        )
    inputs = set(manifest.inputs)
    if inputs not in (set(TEXT_INPUTS), {*TEXT_INPUTS, *IMAGE_INPUTS}):
        raise BundleError(
            f"{path}: inputs are {sorted(inputs)}, this version fills {sorted(TEXT_INPUTS)} and, for images, "
            f"{sorted(IMAGE_INPUTS)} too: export the model with these names"
        )
    if manifest.wants_images != (manifest.image is not None):
        have = "has" if manifest.image else "has no"
        raise BundleError(
            f"{path}: the model reads {sorted(inputs)} but the manifest {have} image section: export it again"
        )
    for name in (ENCODER, TOKENIZER):
        if name not in manifest.sha256:
            raise BundleError(f"{path}: sha256 has no entry for {name}: {REMEDY}")


def _check_file(folder: Path, name: str, expected: str) -> None:
    path = folder / name
    if Path(name).name != name:
        raise BundleError(f"{folder / MANIFEST}: sha256 names {name!r}, but only plain files count: {REMEDY}")
    if not path.is_file():
        raise BundleError(f"{path} is missing, but {MANIFEST} lists it: {REMEDY}")
    found = _sha256(path)
    if found != expected:
        raise BundleError(f"{path}: sha256 is {found}, {MANIFEST} says {expected}: {REMEDY}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
