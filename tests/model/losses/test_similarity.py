"""Similarities against loops over numbers."""

# ruff: noqa: E402 - torch comes with the train extra only

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from model.losses.similarity import similarity

Make = Callable[..., Tensor]


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def euclidean(a: list[float], b: list[float]) -> float:
    return -sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("metric", "naive"), [("cosine", cosine), ("euclidean", euclidean)])
def test_it_is_the_textbook_formula(vectors: Make, metric: str, naive: Callable[..., float]) -> None:
    left, right = vectors(5), vectors(3, seed=9)
    expected = [[naive(a, b) for b in right.tolist()] for a in left.tolist()]
    torch.testing.assert_close(similarity(left, right, metric).detach(), torch.tensor(expected, dtype=torch.float64))


def test_over_unit_vectors_euclidean_is_twice_cosine_minus_two(vectors: Make) -> None:
    left, right = (torch.nn.functional.normalize(vectors(4, seed=seed)) for seed in (1, 2))
    torch.testing.assert_close(similarity(left, right, "euclidean"), 2 * similarity(left, right) - 2)


def test_cosine_ignores_lengths_and_euclidean_does_not(vectors: Make) -> None:
    left, right = vectors(4), vectors(4, seed=8)
    torch.testing.assert_close(similarity(3 * left, right), similarity(left, right))
    assert not torch.allclose(similarity(3 * left, right, "euclidean"), similarity(left, right, "euclidean"))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_equal_vectors_are_the_most_alike_with_no_gradient_left(vectors: Make, metric: str) -> None:
    given = vectors(1)
    alike = similarity(given, given.detach(), metric)
    alike.backward()
    torch.testing.assert_close(alike.item(), 1.0 if metric == "cosine" else 0.0)
    torch.testing.assert_close(given.grad, torch.zeros_like(given))
