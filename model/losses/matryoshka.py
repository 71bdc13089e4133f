"""Matryoshka: the first numbers of a vector are a vector of their own.

Source: Kusupati et al., "Matryoshka Representation Learning" (2022), equation 1, with equal weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec

import torch
from torch import Tensor

from model.losses.similarity import unit

P = ParamSpec("P")


def matryoshka(loss: Callable[P, Tensor], sizes: Sequence[int]) -> Callable[P, Tensor]:
    """A loss with the arguments of ``loss``: its mean over vectors that are cut to each size and made unit vectors again.

    Args:
        loss: any loss; those of its arguments that are floating [n, dim] are cut.
        sizes: such as (64, 128, 256, 384); name the whole dim too.

    Raises:
        ValueError: no sizes, equal ones or one below 1; and by the loss returned: a size above dim.
    """
    if not sizes or min(sizes) < 1 or len(set(sizes)) != len(sizes):
        raise ValueError(f"sizes is {list(sizes)}, must be distinct and above 0: name some, such as 64, 128 and 256")

    def nested(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        return torch.stack([_at(size, loss, *args, **kwargs) for size in sizes]).mean()

    return nested


def _at(size: int, loss: Callable[P, Tensor], *args: P.args, **kwargs: P.kwargs) -> Tensor:
    cut, named = [_cut(value, size) for value in args], {name: _cut(value, size) for name, value in kwargs.items()}
    return loss(*cut, **named)  # type: ignore[arg-type]  # same arguments, some of them cut


def _cut(value: object, size: int) -> object:
    """Vectors [n, dim] -> unit vectors [n, size]; all else as it is."""
    if not (isinstance(value, Tensor) and value.ndim == 2 and value.is_floating_point()):
        return value
    if size > value.shape[1]:
        raise ValueError(f"sizes has {size}, vectors have dim {value.shape[1]}: name no size above the network's dim")
    return unit(value[:, :size])
