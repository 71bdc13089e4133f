"""Images of products as files: below a folder, or in a zip file that stays packed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from model.data.errors import DataError
from model.images import MAX_BYTES


class ImageFiles:
    """Reads the images that products name; safe to use in forked workers, each of which opens the zip anew."""

    def __init__(self, root: Path) -> None:
        """Take a folder or a ``.zip`` file.

        Raises:
            DataError: there is none.
        """
        if not root.exists():
            raise DataError(f"images={root} does not exist: name a folder of images or a zip file")
        self._root = root.resolve()
        self._zip: tuple[int, ZipFile] | None = None

    def read(self, name: str) -> bytes:
        """The bytes of an image.

        Args:
            name: the product's ``image``, a path below the root.

        Raises:
            DataError: no such file, too large, not below the root, or the zip is damaged.
        """
        if "://" in name or name.startswith("data:"):
            raise DataError(f"image={name[:60]!r} is no path below {self._root}: only files of the image root are read")
        try:
            return self._packed(name) if self._root.is_file() else self._loose(name)
        except (OSError, KeyError, BadZipFile, RuntimeError, ValueError) as error:
            raise DataError(f"image={name[:60]!r} cannot be read from {self._root}: {error}") from error

    def _loose(self, name: str) -> bytes:
        file = (self._root / name).resolve()
        if not file.is_relative_to(self._root):
            raise ValueError(f"it leads out to {file}")
        return self._of_size(file.stat().st_size, file.read_bytes)

    def _packed(self, name: str) -> bytes:
        archive = self._archive()
        return self._of_size(archive.getinfo(name).file_size, lambda: archive.read(name))

    @staticmethod
    def _of_size(size: int, read: Callable[[], bytes]) -> bytes:
        if size > MAX_BYTES:
            raise ValueError(f"it has {size} bytes, at most {MAX_BYTES} are allowed")
        return read()

    def _archive(self) -> ZipFile:
        """The zip as this process opened it: a position in a file must not be shared with a forked one."""
        if self._zip is None or self._zip[0] != os.getpid():
            self._zip = os.getpid(), ZipFile(self._root)
        return self._zip[1]
