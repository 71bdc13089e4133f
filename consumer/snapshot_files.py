"""The files of a snapshot: written through to the disk with their checksums, held open, compared with the checksums."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
import xxhash

from consumer.errors import KinstreamError

MANIFEST = "manifest.json"
BLOCK = 1 << 20
"""Bytes read at a time."""


class FileSum(msgspec.Struct, frozen=True):
    """Size and checksum of a file."""

    bytes: int
    xxh3_128: str


class _Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest on disk: the checksum is that of the exact bytes of the other field."""

    checksum: str
    snapshot: msgspec.Raw


class SummedFile:
    """A file whose checksum grows while it is written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = xxhash.xxh3_128()
        self._bytes = 0

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        self._hash.update(data)
        self._bytes += len(data)

    def sum(self) -> FileSum:
        """Of what was written so far."""
        return FileSum(self._bytes, self._hash.hexdigest())


class FilesWriter:
    """Writes the files of one folder, each once, the manifest last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sums: dict[str, FileSum] = {}

    @contextmanager
    def open(self, name: str) -> Iterator[SummedFile]:
        """A new file, which is on the disk at the end of the block."""
        with (self.folder / name).open("xb") as file:
            summed = SummedFile(file)
            yield summed
            file.flush()
            os.fsync(file.fileno())
        self.sums[name] = summed.sum()

    def adopt(self, name: str) -> None:
        """Take over a file that a library wrote, if it did."""
        path = self.folder / name
        if path.exists():
            sync(path)
            self.sums[name] = _sum_of(path)

    def seal(self, manifest: object) -> None:
        """Write the manifest, and have the folder on the disk."""
        raw = msgspec.json.encode(manifest)
        with self.open(MANIFEST) as file:
            file.write(msgspec.json.encode(_Sealed(xxhash.xxh3_128_hexdigest(raw), msgspec.Raw(raw))))
        sync(self.folder)


class OpenFiles:
    """The files of a folder, held open: what is read stays there when the folder is pruned meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._descriptors: dict[str, int] = {}
        self.close = weakref.finalize(self, _close, self._descriptors)
        """Closes them; a second time does nothing."""
        for entry in sorted(folder.iterdir()):
            self._descriptors[entry.name] = os.open(entry, os.O_RDONLY)

    @property
    def names(self) -> list[str]:
        """Of all files."""
        return list(self._descriptors)

    def path(self, name: str) -> Path:
        """A path that leads to the open file."""
        return Path(f"/proc/self/fd/{self._descriptors[name]}")

    def manifest(self) -> bytes:
        """The exact bytes that the manifest protects.

        Raises:
            KinstreamError: there is no manifest, or it is not what was written.
        """
        if MANIFEST not in self._descriptors:
            raise KinstreamError(f"there is no {MANIFEST}")
        try:
            sealed = msgspec.json.decode(self.path(MANIFEST).read_bytes(), type=_Sealed)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise KinstreamError(f"{MANIFEST} is damaged ({error})") from error
        raw = bytes(sealed.snapshot)
        if xxhash.xxh3_128_hexdigest(raw) != sealed.checksum:
            raise KinstreamError(f"{MANIFEST} is damaged: it does not have its checksum")
        return raw

    def check(self, sums: dict[str, FileSum]) -> None:
        """Compare all files with their checksums.

        Raises:
            KinstreamError: one is missing, too many, or not what was written.
        """
        odd = sums.keys() ^ self._descriptors.keys() ^ {MANIFEST}
        if odd:
            raise KinstreamError(f"files are missing or too many: {', '.join(sorted(odd))}")
        for name, wanted in sums.items():
            found = _sum_of(self.path(name))
            if found != wanted:
                raise KinstreamError(
                    f"{name} is damaged: {found.bytes} bytes with checksum {found.xxh3_128}, "
                    f"the manifest says {wanted.bytes} and {wanted.xxh3_128}"
                )


def sync(path: Path) -> None:
    """Have a file or a folder on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sum_of(path: Path) -> FileSum:
    hashed, size = xxhash.xxh3_128(), 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            hashed.update(block)
            size += len(block)
    return FileSum(size, hashed.hexdigest())


def _close(descriptors: dict[str, int]) -> None:
    for descriptor in descriptors.values():
        os.close(descriptor)
