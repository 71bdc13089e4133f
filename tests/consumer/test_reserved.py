"""Arrays that grow in place."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from consumer.errors import KinstreamError
from consumer.reserved import MOST_ROWS, Reserved


def resident() -> int:
    """Bytes of this process that are in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def test_growing_moves_nothing_and_new_rows_are_zero() -> None:
    reserved = Reserved(3, np.int32)
    small = reserved.resized(5)
    small[:] = 7
    large = reserved.resized(100_000)
    assert large.ctypes.data == small.ctypes.data
    assert large.shape == (100_000, 3)
    assert (large[:5] == 7).all()
    assert not large[5:].any()


@pytest.mark.parametrize("rows", [0, 1, 1000, 4096, 99_999])
def test_rows_that_went_are_zero_when_they_return(rows: int) -> None:
    reserved = Reserved(3, np.int32)
    reserved.resized(100_000)[:] = 7
    assert (reserved.resized(rows) == 7).all()
    again = reserved.resized(100_000)
    assert (again[:rows] == 7).all()
    assert not again[rows:].any()


def test_rows_that_went_take_no_memory() -> None:
    reserved = Reserved(256, np.int32)
    array, before = reserved.resized(100_000), resident()
    array[:] = 7
    full = resident()
    assert full - before > 0.9 * array.nbytes
    reserved.resized(1000)
    assert full - resident() > 0.9 * array.nbytes


def test_more_rows_than_there_are_addresses_are_refused() -> None:
    with pytest.raises(KinstreamError, match=f"{MOST_ROWS + 1} rows are wanted, {MOST_ROWS} are the most"):
        Reserved(1, np.int8).resized(MOST_ROWS + 1)


def test_addresses_that_cannot_be_had_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(KinstreamError, match=r"cannot be reserved.*overcommit_memory"):
        Reserved(8, np.float32)
