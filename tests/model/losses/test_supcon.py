"""SupCon: the library's loss against the loop of the paper."""

# ruff: noqa: E402 - torch comes with the train extra only

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from model.losses.similarity import similarity
from model.losses.supcon import supcon

Make = Callable[..., Tensor]
T = 0.3


def naive(embeddings: Tensor, groups: list[int], metric: str) -> float:
    """Equation 2 of Khosla et al. as a mean over the samples that have a positive."""
    alike = similarity(embeddings, embeddings, metric).tolist()
    losses = []
    for i, group in enumerate(groups):
        others = [a for a in range(len(groups)) if a != i]
        positives = [p for p in others if groups[p] == group]
        everything = sum(math.exp(alike[i][a] / T) for a in others)
        if positives:
            shares = [math.log(math.exp(alike[i][p] / T) / everything) for p in positives]
            losses.append(-sum(shares) / len(positives))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("groups", [[0, 0, 1, 1], [0, 1, 0, 0, 1, 2, 3], [5, 5, 5, 5, 2]])
def test_it_is_the_textbook_loop(vectors: Make, metric: str, groups: list[int]) -> None:
    embeddings = vectors(len(groups))
    value = supcon(embeddings, torch.tensor(groups), temperature=T, metric=metric)
    assert value.item() == pytest.approx(naive(embeddings, groups, metric), rel=1e-9)


def test_samples_that_are_learnt_count_in_the_mean() -> None:
    """The library's own reducer leaves out those of loss 0, and so reports the mean of the rest."""
    angles = torch.tensor([0.0, 0.0, math.pi, math.pi - 1, math.pi / 2])
    embeddings, groups = torch.stack([angles.cos(), angles.sin()], dim=1), [0, 0, 1, 1, 2]
    value = supcon(embeddings, torch.tensor(groups), temperature=0.01)
    assert supcon(embeddings[:2], torch.tensor([0, 0])).item() == 0
    expected = naive_at(embeddings, groups, 0.01)
    assert min(expected) < 1e-30 < max(expected)
    assert value.item() == pytest.approx(sum(expected) / 4, rel=1e-4)


def naive_at(embeddings: Tensor, groups: list[int], temperature: float) -> list[float]:
    """Losses of the samples with one positive."""
    logits = (similarity(embeddings, embeddings).double() / temperature).tolist()
    losses = []
    for i, group in enumerate(groups):
        others = [a for a in range(len(groups)) if a != i]
        for p in (p for p in others if groups[p] == group):
            losses.append(math.log1p(sum(math.exp(logits[i][a] - logits[i][p]) for a in others if a != p)))
    return losses


@pytest.mark.parametrize("groups", [[1, 2, 3, 4], [7, 7, 7, 7]])
def test_without_positives_or_negatives_it_is_0_without_gradient(vectors: Make, groups: list[int]) -> None:
    embeddings = vectors(4)
    value = supcon(embeddings, torch.tensor(groups))
    value.backward()
    assert value.item() == 0
    assert not embeddings.grad.any()


def test_one_sample_alone_has_no_loss_and_no_gradient(vectors: Make) -> None:
    embeddings = vectors(1)
    value = supcon(embeddings, torch.tensor([3]))
    value.backward()
    assert value.item() == 0
    assert embeddings.grad.tolist() == [[0.0] * 6]
