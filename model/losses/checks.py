"""What every loss demands of its input; each error names the field, its value and the remedy."""

from __future__ import annotations

import math

from torch import Tensor


def check_vectors(**vectors: Tensor) -> None:
    """All are floating [rows, dim] with one dim.

    Raises:
        ValueError: one is not.
    """
    first, *_ = vectors
    for name, given in vectors.items():
        if given.ndim != 2 or not given.is_floating_point():
            raise ValueError(f"{name} is {given.dtype} {_shape(given)}, must be floating [n, dim]: give a vector a row")
        dim, expected = given.shape[1], vectors[first].shape[1]
        if dim != expected:
            raise ValueError(f"{name} has dim {dim}, {first} has dim {expected}: encode both with the same network")


def check_rows(**parts: Tensor) -> None:
    """All have as many rows as the first.

    Raises:
        ValueError: one has not.
    """
    first, *_ = parts
    for name, given in parts.items():
        if len(given) != len(parts[first]):
            raise ValueError(
                f"{name} has {len(given)} rows, {first} has {len(parts[first])}: row i of both belong together"
            )


def check_groups(**groups: Tensor) -> None:
    """All are whole numbers [n].

    Raises:
        ValueError: one is not.
    """
    for name, given in groups.items():
        if given.ndim != 1 or given.is_floating_point() or given.is_complex():
            raise ValueError(f"{name} is {given.dtype} {_shape(given)}, must be int64 [n]: give a number a row")


def check_temperature(temperature: float) -> None:
    """It is finite and above 0.

    Raises:
        ValueError: it is not.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature is {temperature}, must be finite and above 0: 0.07 is a good start")


def check_share(name: str, value: float) -> None:
    """It lies in [0, 1].

    Raises:
        ValueError: it does not.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}, must lie in [0, 1]: 0.99 is a good start")


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))
