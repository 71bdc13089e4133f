"""NT-Xent from labels against the textbook loop, and against the widely copied version that is wrong."""

# ruff: noqa: E402 - torch comes with the train extra only

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from model.losses.labelled import labelled
from model.losses.similarity import similarity
from model.losses.supcon import supcon

Make = Callable[..., Tensor]


def naive(embeddings: Tensor, groups: list[int], temperature: float, metric: str) -> float:
    """Equation 1 of Chen et al. for every pair of one label."""
    alike = similarity(embeddings, embeddings, metric).tolist()
    losses = []
    for i, group in enumerate(groups):
        everything = sum(math.exp(alike[i][a] / temperature) for a in range(len(groups)) if a != i)
        for p, other in enumerate(groups):
            if p != i and other == group:
                losses.append(-math.log(math.exp(alike[i][p] / temperature) / everything))
    return sum(losses) / len(losses)


def wrong(embeddings: Tensor, groups: Tensor, temperature: float = 0.07) -> Tensor:
    """Positives masked out of the denominator, and the diagonal read for the numerator."""
    logits = similarity(embeddings, embeddings) / temperature
    negatives = logits.masked_fill(groups[:, None] == groups, -torch.inf)
    return -(logits - negatives.logsumexp(dim=1, keepdim=True)).diagonal().mean()


def on_circle(*degrees: float) -> tuple[Tensor, Tensor]:
    """Angles [n] that want a gradient, and their unit vectors [n, 2]."""
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad().requires_grad_()
    return angles, torch.stack([angles.cos(), angles.sin()], dim=1)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("groups", [[0, 0, 1, 1], [0, 1, 0, 0, 1, 2, 3], [5, 5, 5, 5]])
def test_it_is_the_textbook_loop(vectors: Make, metric: str, groups: list[int]) -> None:
    embeddings = vectors(len(groups))
    value = labelled(embeddings, torch.tensor(groups), temperature=0.3, metric=metric)
    assert value.item() == pytest.approx(naive(embeddings, groups, 0.3, metric), rel=1e-12)


def test_its_temperature_is_0_07(vectors: Make) -> None:
    embeddings, groups = vectors(4), [0, 0, 1, 1]
    value = labelled(embeddings, torch.tensor(groups))
    assert value.item() == pytest.approx(naive(embeddings, groups, 0.07, "cosine"), rel=1e-12)


def test_it_is_supcon_where_groups_are_of_one_size_and_weighs_large_groups_more_elsewhere(vectors: Make) -> None:
    embeddings = vectors(6)
    even, uneven = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 0, 0, 0, 1, 1])
    torch.testing.assert_close(labelled(embeddings, even), supcon(embeddings, even))
    assert not torch.allclose(labelled(embeddings, uneven), supcon(embeddings, uneven))


def test_the_wrong_version_has_another_value_that_falls_below_any_likelihood() -> None:
    _, embeddings = on_circle(0, 10, 120, 130)
    groups = torch.tensor([0, 0, 1, 1])
    assert labelled(embeddings, groups).item() == pytest.approx(naive(embeddings, [0, 0, 1, 1], 0.07, "cosine"))
    assert labelled(embeddings, groups) > 0
    assert wrong(embeddings, groups) < -10  # no negative logarithm of a probability can be below 0


def test_the_wrong_version_is_blind_to_positives() -> None:
    groups = torch.tensor([0, 0, 1])
    alike = torch.tensor([[1.0, 0.2, 0.1], [0.2, 1.0, 0.3], [0.1, 0.3, 1.0]])
    embeddings = torch.linalg.cholesky(alike.double()).requires_grad_()
    closer = torch.linalg.cholesky((alike + torch.tensor([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]])).double())
    torch.testing.assert_close(wrong(closer, groups), wrong(embeddings, groups))
    assert labelled(closer, groups) < labelled(embeddings, groups) - 0.9


def test_the_wrong_version_pushes_positives_apart_where_the_right_one_pulls_them_together() -> None:
    """The anchor at 0 degrees, a negative at 20, its positive behind that at 60."""
    groups = torch.tensor([0, 1, 0])
    angles, embeddings = on_circle(0, 20, 60)
    (right,) = torch.autograd.grad(labelled(embeddings, groups), angles, retain_graph=True)
    (other,) = torch.autograd.grad(wrong(embeddings, groups), angles)
    assert right[0] < -0.1  # a descent step turns the anchor towards its positive
    assert other[0] > 0.1  # and here away from it


def test_one_sample_alone_has_no_loss_and_no_gradient(vectors: Make) -> None:
    embeddings = vectors(1)
    value = labelled(embeddings, torch.tensor([3]))
    value.backward()
    assert value.item() == 0
    assert embeddings.grad.tolist() == [[0.0] * 6]
