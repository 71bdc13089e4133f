"""Arrays that grow without being moved, on large pages.

A walk through the graph jumps from row to row. With pages of 4 KB nearly each jump misses the processor's table of pages,
too; pages of 2 MB spare a quarter of the time at a million products. The system cannot move such pages when an array grows,
as realloc does: it would take them apart, one by one, while events wait. So the addresses of a very long array are reserved
at once, which takes no memory, and rows are used as they are needed.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from consumer.errors import KinstreamError

MOST_ROWS = 1 << 27
"""Rows whose addresses are reserved."""
MAP_NORESERVE = 0x4000
"""Of Linux; Python 3.11 has no name for it."""


class Reserved:
    """An array [rows, width] of which the first so many rows are in use; new ones are zero.

    Raises:
        KinstreamError: the addresses cannot be reserved, or more rows are wanted than were.
    """

    def __init__(self, width: int, kind: DTypeLike) -> None:
        row = width * np.dtype(kind).itemsize
        try:
            self._memory = mmap.mmap(-1, MOST_ROWS * row, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
        except OSError as error:
            raise KinstreamError(
                f"{MOST_ROWS * row >> 30} GiB of addresses cannot be reserved ({error}): raise ulimit -v, or set "
                "vm.overcommit_memory to 0"
            ) from None
        with contextlib.suppress(OSError):  # a kernel without large pages
            self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._row = row
        self._whole: NDArray[Any] = np.frombuffer(self._memory, kind).reshape(MOST_ROWS, width)
        self._rows = 0

    def resized(self, rows: int) -> NDArray[Any]:
        """The array with another number of rows; what is behind them goes back to the system."""
        if rows > MOST_ROWS:
            raise KinstreamError(
                f"{rows} rows are wanted, {MOST_ROWS} are the most that one process holds: give it a part of the catalogue"
            )
        if rows < self._rows:
            self._give_back(rows)
        self._rows = rows
        return self._whole[:rows]

    def _give_back(self, rows: int) -> None:
        page = -(-rows * self._row // mmap.PAGESIZE) * mmap.PAGESIZE
        self._whole[rows : min(self._rows, -(-page // self._row))] = 0
        if (length := self._rows * self._row - page) > 0:
            self._memory.madvise(mmap.MADV_DONTNEED, page, length)
