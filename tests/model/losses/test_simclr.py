"""SimCLR against the loop of the paper and against the library."""

# ruff: noqa: E402 - torch comes with the train extra only

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from pytorch_metric_learning.losses import NTXentLoss, SelfSupervisedLoss
from torch import Tensor

from model.losses.simclr import simclr
from model.losses.similarity import similarity

Make = Callable[..., Tensor]
T = 0.3


def naive(first: Tensor, second: Tensor, groups: list[int], metric: str) -> float:
    """Algorithm 1 of Chen et al., with other samples of the same group left out."""
    views = torch.cat([first, second])
    alike = similarity(views, views, metric).tolist()
    n = len(groups)
    total = 0.0
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        wrong = sum(math.exp(alike[i][k] / T) for k in range(2 * n) if groups[k % n] != groups[i % n])
        right = math.exp(alike[i][partner] / T)
        total -= math.log(right / (right + wrong))
    return total / (2 * n)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("groups", [[0, 1, 2, 3], [0, 1, 0, 2, 1]])
def test_it_is_the_textbook_loop(vectors: Make, metric: str, groups: list[int]) -> None:
    first, second = vectors(len(groups), seed=1), vectors(len(groups), seed=2)
    value = simclr(first, second, torch.tensor(groups), temperature=T, metric=metric)
    assert value.item() == pytest.approx(naive(first, second, groups, metric), rel=1e-12)


def test_it_is_the_library_where_each_sample_is_a_group(vectors: Make) -> None:
    first, second = vectors(5, seed=1), vectors(5, seed=2)
    expected = SelfSupervisedLoss(NTXentLoss(T))(first, second)
    torch.testing.assert_close(simclr(first, second, torch.arange(5), temperature=T), expected)


def test_both_views_are_treated_alike(vectors: Make) -> None:
    first, second, groups = vectors(4, seed=1), vectors(4, seed=2), torch.tensor([0, 1, 0, 2])
    torch.testing.assert_close(simclr(second, first, groups), simclr(first, second, groups))
