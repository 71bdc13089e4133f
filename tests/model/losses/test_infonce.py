"""InfoNCE against the textbook loop and against the library."""

# ruff: noqa: E402 - torch comes with the train extra only

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.losses import NTXentLoss
from torch import Tensor

from model.losses.infonce import info_nce
from model.losses.similarity import similarity

Make = Callable[..., Tensor]
GROUPS = torch.tensor([0, 1, 0, 2, 3])
T = 0.3


def one_way(rows: Tensor, others: Tensor, groups: Tensor, extra: Tensor, extra_groups: Tensor, metric: str) -> float:
    """Equation 4 of van den Oord et al., one anchor after the other."""
    alike, alike_extra = similarity(rows, others, metric).tolist(), similarity(rows, extra, metric).tolist()
    total = 0.0
    for i, group in enumerate(groups.tolist()):
        right = math.exp(alike[i][i] / T)
        wrong = sum(math.exp(alike[i][j] / T) for j, other in enumerate(groups.tolist()) if other != group)
        wrong += sum(math.exp(alike_extra[i][j] / T) for j, other in enumerate(extra_groups.tolist()) if other != group)
        total -= math.log(right / (right + wrong))
    return total / len(groups)


def naive(
    anchors: Tensor, positives: Tensor, groups: Tensor, extra: Tensor, extra_groups: Tensor, metric: str
) -> float:
    forth = one_way(anchors, positives, groups, extra, extra_groups, metric)
    return (forth + one_way(positives, anchors, groups, extra, extra_groups, metric)) / 2


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("extra_groups", [[], [9], [0, 9, 3, 3]])
def test_it_is_the_textbook_loop(vectors: Make, metric: str, extra_groups: list[int]) -> None:
    anchors, positives, extra = vectors(5, seed=1), vectors(5, seed=2), vectors(len(extra_groups), seed=4)
    groups_of_extra = torch.tensor(extra_groups, dtype=torch.int64)
    expected = naive(anchors, positives, GROUPS, extra, groups_of_extra, metric)
    value = info_nce(anchors, positives, GROUPS, extra, groups_of_extra, temperature=T, metric=metric)
    assert value.item() == pytest.approx(expected, rel=1e-12)
    if not extra_groups:
        assert info_nce(anchors, positives, GROUPS, temperature=T, metric=metric).item() == value.item()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_it_is_what_the_library_computes_from_the_same_pairs(vectors: Make, metric: str) -> None:
    anchors, positives = vectors(5, seed=1), vectors(5, seed=2)
    distance = CosineSimilarity() if metric == "cosine" else LpDistance(normalize_embeddings=False, power=2)
    loss, own = NTXentLoss(T, distance=distance), torch.arange(5)
    pairs = (own, own, *torch.where(GROUPS[:, None] != GROUPS))
    forth, back = (loss(a, GROUPS, pairs, b, GROUPS) for a, b in ((anchors, positives), (positives, anchors)))
    value = info_nce(anchors, positives, GROUPS, temperature=T, metric=metric)
    torch.testing.assert_close(value, (forth + back) / 2)


def test_a_far_behind_positive_has_a_gradient_where_the_library_loses_it() -> None:
    anchors = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).requires_grad_()
    positives, groups = anchors.detach().flip(0) + 0.1, torch.tensor([0, 1])
    own = torch.arange(2)
    lost = NTXentLoss(0.005)(anchors, groups, (own, own, own, own.flip(0)), positives, groups)
    (gradient,) = torch.autograd.grad(lost, anchors)
    assert not gradient.any()
    (gradient,) = torch.autograd.grad(info_nce(anchors, positives, groups, temperature=0.005), anchors)
    assert gradient.abs().max() > 1


def test_both_sides_are_treated_alike(vectors: Make) -> None:
    anchors, positives, extra = vectors(5, seed=1), vectors(5, seed=2), vectors(2, seed=4)
    of_extra = torch.tensor([8, 9])
    forth = info_nce(anchors, positives, GROUPS, extra, of_extra)
    torch.testing.assert_close(info_nce(positives, anchors, GROUPS, extra, of_extra), forth)


def test_members_of_one_group_do_not_push_each_other(vectors: Make) -> None:
    """With one group everywhere, nothing is a negative: neither value nor gradient."""
    anchors, positives = vectors(4, seed=1), vectors(4, seed=2)
    value = info_nce(
        anchors, positives, torch.zeros(4, dtype=torch.int64), vectors(2), torch.zeros(2, dtype=torch.int64)
    )
    value.backward()
    assert value.item() == 0
    assert not anchors.grad.any()


@pytest.mark.parametrize("given", ["negatives", "negative_groups"])
def test_negatives_come_with_groups(vectors: Make, given: str) -> None:
    extra = {"negatives": vectors(2), "negative_groups": torch.tensor([8, 9])}
    with pytest.raises(ValueError, match="is None, its partner is not: give both or none"):
        info_nce(vectors(5), vectors(5), GROUPS, **{given: extra[given]})
