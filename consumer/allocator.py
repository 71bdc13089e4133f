"""The C allocator, told to give memory back.

glibc raises the size from which it asks the system for blocks of their own each time that such a block is freed; arrays that
grow then leave holes behind. And every thread has an arena of its own, in which the buffers of Kafka's threads pile up.
"""

from __future__ import annotations

import ctypes
import ctypes.util

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
BLOCK = 1024 * 1024
"""Arrays from this size on come from the system and go back to it at once."""
ARENAS = 2
TRIM_SECONDS = 10.0


def _glibc() -> ctypes.CDLL | None:
    name = ctypes.util.find_library("c")
    library = ctypes.CDLL(name) if name else None
    return library if library is not None and hasattr(library, "malloc_trim") else None


def tune() -> None:
    """Set the allocator up; call before anything large is allocated. Does nothing where the C library is another one."""
    glibc = _glibc()
    if glibc is not None:
        glibc.mallopt(M_MMAP_THRESHOLD, BLOCK)
        glibc.mallopt(M_ARENA_MAX, ARENAS)


class Trimmer:
    """Gives freed memory back to the system; for idle moments, since what is asked for next must be mapped again."""

    def __init__(self) -> None:
        self._glibc = _glibc()
        self._trimmed_at = float("-inf")

    def turn(self, now: float) -> None:
        """Trim when the last time is long enough ago; ``now`` in seconds."""
        if self._glibc is not None and now - self._trimmed_at >= TRIM_SECONDS:
            self._trimmed_at = now
            self._glibc.malloc_trim(0)
