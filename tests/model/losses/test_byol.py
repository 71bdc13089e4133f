"""BYOL: the loss against the loop of the paper, the predictor, and the schedule of the momentum."""

# ruff: noqa: E402 - torch comes with the train extra only

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from model.losses.byol import Predictor, byol, target_momentum

Make = Callable[..., Tensor]


def squared(a: list[float], b: list[float]) -> float:
    """Equation 2 of Grill et al.: the squared distance of the unit vectors."""
    return sum((x / math.hypot(*a) - y / math.hypot(*b)) ** 2 for x, y in zip(a, b, strict=True))


def test_it_is_the_textbook_loop(vectors: Make) -> None:
    first, second, first_target, second_target = (vectors(4, seed=seed) for seed in range(4))
    total = 0.0
    for i in range(4):
        total += squared(first[i].tolist(), second_target[i].tolist())
        total += squared(second[i].tolist(), first_target[i].tolist())
    assert byol(first, second, first_target, second_target).item() == pytest.approx(total / 4, rel=1e-12)


def test_each_prediction_is_held_against_the_target_of_the_other_view(vectors: Make) -> None:
    first, second = vectors(4, seed=1), vectors(4, seed=2)
    assert byol(first, second, second, first).item() == pytest.approx(0, abs=1e-12)
    assert byol(first, second, first, second).item() > 0.5
    assert byol(first, -first, first, -first).item() == pytest.approx(8)


def test_the_gradient_goes_to_the_predictions_only(vectors: Make) -> None:
    first, second, first_target, second_target = (vectors(4, seed=seed) for seed in range(4))
    byol(first, second, first_target, second_target).backward()
    assert first.grad.any()
    assert second.grad.any()
    assert first_target.grad is None
    assert second_target.grad is None


def test_the_predictor_is_the_mlp_of_the_paper() -> None:
    predictor = Predictor(6, 10)
    rows = torch.randn(5, 6)
    wide = rows @ predictor.widen.weight.T + predictor.widen.bias
    normed = (wide - wide.mean(0)) / (wide.var(0, unbiased=False) + 1e-5).sqrt()
    expected = normed.clamp(min=0) @ predictor.narrow.weight.T + predictor.narrow.bias
    torch.testing.assert_close(predictor(rows), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_the_predictor_trains_on_a_batch_of_any_size(rows: int) -> None:
    predictor = Predictor(6, 10)
    predicted = predictor(torch.randn(rows, 6))
    predicted.square().sum().backward()
    assert predicted.shape == (rows, 6)
    assert all(torch.isfinite(parameter.grad).all() for parameter in predictor.parameters())


def test_one_row_is_normalised_by_what_earlier_batches_were_like() -> None:
    predictor = Predictor(6, 10)
    predictor(torch.randn(16, 6) + 3)
    row, seen = torch.randn(1, 6), predictor.norm.running_mean.clone()
    alone = predictor(row)
    torch.testing.assert_close(alone, predictor.eval()(row.repeat(2, 1))[:1])
    torch.testing.assert_close(predictor.norm.running_mean, seen, rtol=0, atol=0)


def test_the_momentum_of_the_target_grows_along_a_cosine() -> None:
    steps = [target_momentum(step, 100) for step in range(101)]
    assert steps[0] == pytest.approx(0.996)
    assert steps[50] == pytest.approx(0.998)
    assert steps[25] == pytest.approx(1 - 0.004 * (math.sqrt(0.5) + 1) / 2)
    assert steps[100] == 1
    assert steps == sorted(steps)
    assert target_momentum(0, 1, base=0.9) == pytest.approx(0.9)


@pytest.mark.parametrize(("step", "steps"), [(-1, 10), (11, 10), (0, 0)])
def test_a_step_outside_the_training_is_refused(step: int, steps: int) -> None:
    with pytest.raises(ValueError, match=rf"step is {step} of {steps}, must lie in \[0, steps\]"):
        target_momentum(step, steps)


def test_a_base_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"base is 1.5, must lie in \[0, 1\]"):
        target_momentum(0, 10, base=1.5)
