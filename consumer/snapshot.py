"""The exported catalogue on disk: what a clean stop leaves for ``dump``, ``verify`` and ``search``.

A file is complete or absent: it is written beside its final name, synced, and renamed.
"""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO
from zipfile import BadZipFile

import msgspec
import numpy as np

from consumer.errors import KinstreamError
from consumer.types import Export, Generation

FORMAT = 1


def export_path(state: Path, generation: str) -> Path:
    """Where the export of a generation lies in the state folder."""
    return state / generation / "products.npz"


def write_export(file: IO[bytes], export: Export) -> None:
    """Write ``ids`` (str), ``vectors`` (float32, n x dim), ``available`` (bool), and a ``manifest`` (JSON text)."""
    manifest = msgspec.json.encode({"format": FORMAT, "generation": msgspec.to_builtins(export.generation)})
    np.savez(
        file,
        ids=np.array(export.ids, dtype=np.str_),
        vectors=export.vectors,
        available=export.available,
        manifest=np.array(manifest.decode()),
    )


def read_export(file: Path | BytesIO) -> Export:
    """Read what write_export wrote.

    Raises:
        KinstreamError: not such a file, or of another format.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            manifest = msgspec.json.decode(str(arrays["manifest"]))
            if manifest["format"] != FORMAT:
                raise KinstreamError(f"{file} has export format {manifest['format']}, this version reads {FORMAT}")
            generation = msgspec.convert(manifest["generation"], Generation)
            return Export(generation, arrays["ids"].tolist(), arrays["vectors"], arrays["available"])
    except (BadZipFile, KeyError, ValueError, EOFError, OSError, msgspec.DecodeError) as error:
        raise KinstreamError(
            f"{file} is not a readable export ({error}); stop the service once to write it anew"
        ) from error


def check_folder(state: Path) -> None:
    """Make the state folder, and see whether it can be written to.

    Raises:
        KinstreamError: it cannot.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=state):
            pass
    except OSError as error:
        raise _unwritable(state, error) from error


def save(state: Path, export: Export) -> Path:
    """Save the export durably; returns its path.

    Raises:
        KinstreamError: the folder cannot be written to; what was saved before is still there.
    """
    try:
        return _save(export_path(state, export.generation.name), export)
    except OSError as error:
        raise _unwritable(state, error) from error


def _unwritable(state: Path, error: OSError) -> KinstreamError:
    return KinstreamError(
        f"KINSTREAM_STATE={str(state)!r} cannot be written to ({error.strerror}): name another folder"
    )


def _save(target: Path, export: Export) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with partial.open("wb") as file:
        write_export(file, export)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return target
