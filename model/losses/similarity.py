"""How alike two vectors are, by cosine or by Euclidean distance; the one place where losses compare vectors."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from model.losses.checks import check_vectors

Metric: TypeAlias = Literal["cosine", "euclidean"]

SHORTEST = 1e-12
"""Shorter vectors have no direction."""


def similarity(left: Tensor, right: Tensor, metric: Metric = "cosine") -> Tensor:
    """The similarity of each row of ``left`` with each row of ``right``; the higher the more alike.

    ``cosine`` is in [-1, 1] whatever the lengths. ``euclidean`` is the negative squared distance, so that its gradient is
    smooth where vectors meet; over unit vectors it is 2 * cosine - 2, and ranks alike.

    Args:
        left: [n, dim], of any floating type.
        right: [m, dim].
        metric: which of the two.

    Returns:
        [n, m], float64 for float64 input, else float32, also under autocast: half precision is too coarse to be divided by a
        temperature.

    Raises:
        ValueError: shapes that do not fit, or an unknown metric.
    """
    check_vectors(left=left, right=right)
    check_metric(metric)
    with torch.autocast(left.device.type, enabled=False):
        left, right = full(left), full(right)
        if metric == "cosine":
            return unit(left) @ unit(right).T
        return 2 * left @ right.T - _squares(left)[:, None] - _squares(right)


def check_metric(metric: str) -> None:
    """It is known.

    Raises:
        ValueError: it is not.
    """
    if metric not in get_args(Metric):
        raise ValueError(f"metric is {metric!r}, must be one of {', '.join(get_args(Metric))}: choose one")


def full(vectors: Tensor) -> Tensor:
    """The same in float32, or in float64 if it was that."""
    return vectors if vectors.dtype == torch.float64 else vectors.float()


def unit(vectors: Tensor) -> Tensor:
    """Rows [n, dim] at length 1; rows of 0 stay so, without a gradient, which would be about as long as 1 / SHORTEST."""
    vectors = full(vectors)
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return (vectors / lengths.clamp(min=SHORTEST)).masked_fill(lengths < SHORTEST, 0)


def joined(first: Tensor, second: Tensor) -> Tensor:
    """Rows [n + m, dim] of both [n, dim] and [m, dim], in full precision: autocast cannot join all kinds of halves."""
    return torch.cat([full(first), full(second)])


def _squares(vectors: Tensor) -> Tensor:
    return (vectors * vectors).sum(dim=1)
