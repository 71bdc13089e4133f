"""The losses that a config chooses by name."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from model.losses.checks import check_groups, check_rows, check_vectors
from model.losses.infonce import info_nce
from model.losses.labelled import labelled
from model.losses.simclr import simclr
from model.losses.similarity import Metric, joined
from model.losses.supcon import supcon


class PairLoss(Protocol):
    """A loss of two vectors a sample: first and second [n, dim], groups int64 [n] -> scalar.

    Those of one set (SupCon, labelled) take all 2n as one batch.
    """

    def __call__(
        self, first: Tensor, second: Tensor, groups: Tensor, /, *, temperature: float = ..., metric: Metric = ...
    ) -> Tensor:
        """Row i of both is one sample: two views of a product, or two products of one group."""


def _supcon(
    first: Tensor, second: Tensor, groups: Tensor, /, *, temperature: float = 0.07, metric: Metric = "cosine"
) -> Tensor:
    return supcon(*_one_batch(first, second, groups), temperature=temperature, metric=metric)


def _labelled(
    first: Tensor, second: Tensor, groups: Tensor, /, *, temperature: float = 0.07, metric: Metric = "cosine"
) -> Tensor:
    return labelled(*_one_batch(first, second, groups), temperature=temperature, metric=metric)


def _one_batch(first: Tensor, second: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors [2n, dim] and groups [2n]."""
    check_vectors(first=first, second=second)
    check_groups(groups=groups)
    check_rows(first=first, second=second, groups=groups)
    return joined(first, second), groups.repeat(2)


LOSSES: dict[str, PairLoss] = {
    "infonce": info_nce,
    "supcon": _supcon,
    "labelled": _labelled,
    "simclr": simclr,
}
"""By name. MoCo and BYOL are not here: they need a second network beside the first (model.losses.moco, model.losses.byol)."""
