"""Arrays that grow and shrink in place.

The C library moves the pages of a large block instead of copying them, but what is added is cleared and counts as used:
hence growth by half, and by no more than a given number at once.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Numbers = TypeVar("Numbers", bound=np.signedinteger[Any])


def resize(array: NDArray[Any], length: int, fill: int = 0) -> None:
    """Give an array another number of rows; new ones are ``fill``. No view of it may be in use."""
    held = len(array)
    array.resize((length, *array.shape[1:]), refcheck=False)
    if fill:
        array[held:] = fill


def larger(wanted: int, held: int, most: int) -> int:
    """The length to grow to when ``wanted`` is more than ``held``: by half, ``most`` at once, or what is wanted."""
    return max(wanted, held + min(held // 2, most))


def trimmed(array: NDArray[Numbers]) -> NDArray[Numbers]:
    """A view of the numbers [n] without the negative ones at their end."""
    return array[: int(np.flatnonzero(array >= 0).max(initial=-1)) + 1]
