"""The exported catalogue as one .npz file: what ``dump`` writes and ``GET /export`` sends."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import IO
from zipfile import BadZipFile

import msgspec
import numpy as np

from consumer.errors import KinstreamError
from consumer.types import Export, Generation

FORMAT = 1


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
        raise KinstreamError(f"{file} is not a readable export ({error}): dump it again") from error
