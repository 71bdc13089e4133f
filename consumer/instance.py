"""Which process this is: an id that outlives a crash, so that a restart need not wait for its predecessor's lease."""

from __future__ import annotations

import fcntl
import os
import socket
import uuid
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")
FILE = "instance"


class Instance:
    """The instance id of a service, held for the life of the process, or until ``close``.

    The file ``<state>/<generation>/instance`` has a random part, and a lock on it says that nobody else alive uses that.
    The machine and its boot are part of the id too: a lock does not reach a copy of the folder elsewhere. Where there is
    no such file to be had or it is locked, the id is a fresh one.
    """

    def __init__(self, state: Path, generation: str) -> None:
        self._file: int | None = None
        try:
            own = self._claimed(state / generation)
        except OSError:
            self.close()
            own = _fresh()
        self.id = f"{socket.gethostname()}-{_boot()}-{own}"

    def close(self) -> None:
        """Give the id up."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _claimed(self, folder: Path) -> str:
        """The stored random part, made when there is none.

        Raises:
            OSError: not locked, not readable or not writable.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        stored = os.pread(self._file, 64, 0).decode(errors="replace")
        if len(stored) == len(_fresh()) and stored.isalnum():
            return stored
        own = _fresh()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, own.encode(), 0)
        os.fsync(self._file)
        return own


def _fresh() -> str:
    return uuid.uuid4().hex


def _boot() -> str:
    try:
        return BOOT.read_text().strip()[:8]
    except OSError:
        return "unknown"
