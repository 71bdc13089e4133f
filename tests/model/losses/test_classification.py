"""Telling categories against the textbook loop and against the library; rows that have none weigh nothing."""

# ruff: noqa: E402 - torch comes with the train extra only

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from pytorch_metric_learning.losses import NormalizedSoftmaxLoss
from torch import Tensor

from model.losses.classification import UNKNOWN, classified
from model.losses.similarity import similarity

Make = Callable[..., Tensor]
CATEGORIES = [2, UNKNOWN, 0, 2, 1, UNKNOWN]


def naive(vectors: Tensor, centres: Tensor, categories: list[int], t: float, smoothing: float) -> float:
    """Equation 3 of Zhai and Wu with the labels of Szegedy et al."""
    alike = similarity(vectors, centres).tolist()
    losses = []
    for scores, category in zip(alike, categories, strict=True):
        if category != UNKNOWN:
            whole = sum(math.exp(score / t) for score in scores)
            wanted = [smoothing / len(scores) + (1 - smoothing) * (k == category) for k in range(len(scores))]
            losses.append(-sum(w * math.log(math.exp(s / t) / whole) for w, s in zip(wanted, scores, strict=True)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("categories", [CATEGORIES, [0, 1, 2, 2, 1, 0]])
def test_it_is_the_textbook_loop(vectors: Make, categories: list[int], smoothing: float) -> None:
    rows, centres = vectors(6), vectors(3, seed=8)
    value = classified(rows, centres, torch.tensor(categories), temperature=0.2, smoothing=smoothing)
    assert value.item() == pytest.approx(naive(rows, centres, categories, 0.2, smoothing), rel=1e-12)


def test_its_temperature_is_0_05_and_a_tenth_of_a_label_is_spread(vectors: Make) -> None:
    rows, centres = vectors(6), vectors(3, seed=8)
    value = classified(rows, centres, torch.tensor(CATEGORIES))
    assert value.item() == pytest.approx(naive(rows, centres, CATEGORIES, 0.05, 0.1), rel=1e-12)


def test_it_is_the_library_without_smoothing(vectors: Make) -> None:
    rows, categories = vectors(5), torch.tensor([0, 1, 2, 1, 3])
    library = NormalizedSoftmaxLoss(4, 6, temperature=0.1).double()
    centres = library.W.detach().T
    torch.testing.assert_close(
        classified(rows, centres, categories, temperature=0.1, smoothing=0), library(rows, categories)
    )


def test_rows_without_a_category_have_no_gradient(vectors: Make) -> None:
    rows, centres = vectors(6), vectors(3, seed=8)
    classified(rows, centres, torch.tensor(CATEGORIES)).backward()
    assert (rows.grad.abs().sum(dim=1) > 0).tolist() == [category != UNKNOWN for category in CATEGORIES]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("rows", [0, 1, 4])
def test_a_batch_without_any_category_is_0_and_finite(vectors: Make, rows: int, dtype: torch.dtype) -> None:
    given, centres = vectors(rows).detach().to(dtype).requires_grad_(), vectors(3).detach().to(dtype).requires_grad_()
    value = classified(given, centres, torch.full((rows,), UNKNOWN))
    value.backward()
    assert value.item() == 0
    assert value.dtype == torch.float32
    for tensor in (given, centres):
        assert tensor.grad is not None
        assert tensor.grad.tolist() == torch.zeros_like(tensor).tolist()


@pytest.mark.parametrize("change", [torch.zeros_like, torch.ones_like, lambda rows: 1000 * rows.sign()])
def test_hostile_vectors_are_finite(vectors: Make, change: Callable[[Tensor], Tensor]) -> None:
    rows, centres = change(vectors(6).detach()).float().requires_grad_(), vectors(3, seed=8).detach().float()
    value = classified(rows, centres, torch.tensor(CATEGORIES), temperature=0.001)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(rows.grad).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"categories": torch.tensor([0, 3])},
            "categories has 3, there are 3 centres: number them from 0, -1 for none",
        ),
        ({"categories": torch.tensor([0, -2])}, "categories has -2"),
        ({"categories": torch.tensor([0])}, "categories has 1 rows, vectors has 2"),
        ({"categories": torch.tensor([0.0, 1.0])}, r"categories is torch.float32 \[2\], must be int64"),
        ({"centres": torch.ones(3, 4)}, "centres has dim 4, vectors has dim 6"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"smoothing": 1.5}, r"smoothing is 1.5, must lie in \[0, 1\]"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"vectors": torch.ones(2, 6), "centres": torch.ones(3, 6)}
    given |= {"categories": torch.tensor([0, 1])} | changes
    with pytest.raises(ValueError, match=message):
        classified(**given)  # type: ignore[arg-type]
