"""What every loss keeps: finite on hostile batches, right gradients, blind to order, exact in half precision, clear."""

# ruff: noqa: E402 - torch comes with the train extra only

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from itertools import product

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from model.losses.byol import byol
from model.losses.infonce import info_nce
from model.losses.matryoshka import matryoshka
from model.losses.moco import moco
from model.losses.registry import LOSSES

METRICS = ("cosine", "euclidean")
GROUPS = [0, 0, 1, 2, 1, 3]


@dataclass(frozen=True)
class Batch:
    """Two vectors a sample with its group, and extra vectors with theirs."""

    first: Tensor
    second: Tensor
    groups: Tensor
    extra: Tensor
    extra_groups: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Change the vectors."""
        return replace(self, first=change(self.first), second=change(self.second), extra=change(self.extra))


def batch(groups: list[int], extra_groups: tuple[int, ...] = (0, 7)) -> Batch:
    source = torch.Generator().manual_seed(3)
    n, m = len(groups), len(extra_groups)
    rows = torch.randn(2 * n + m, 6, generator=source, dtype=torch.float64)
    return Batch(
        rows[:n], rows[n : 2 * n], torch.tensor(groups).long(), rows[2 * n :], torch.tensor(extra_groups).long()
    )


Loss = Callable[..., Tensor]
"""Of a batch; keywords are passed on."""


def by_views(name: str) -> Loss:
    return lambda b, **how: LOSSES[name](b.first, b.second, b.groups, **how)


def with_extra(loss: Loss) -> Loss:
    return lambda b, **how: loss(b.first, b.second, b.groups, b.extra, b.extra_groups, **how)


TEMPERED: dict[str, Loss] = {
    **{name: by_views(name) for name in LOSSES},
    "infonce with extra negatives": with_extra(info_nce),
    "moco": with_extra(moco),
    "labelled in sizes": lambda b, **how: matryoshka(LOSSES["labelled"], (2, 6))(b.first, b.second, b.groups, **how),
}
CASES: dict[str, Loss] = {
    **{
        f"{name}, {metric}": lambda b, loss=loss, metric=metric: loss(b, temperature=0.2, metric=metric)
        for (name, loss), metric in product(TEMPERED.items(), METRICS)
    },
    "byol": lambda b: byol(b.first, b.second, b.second, b.first),
}

HOSTILE = {
    "no samples": batch([]),
    "nothing but a sample": batch([5], ()),
    "one sample": batch([5]),
    "no positives, no extra": batch([1, 2, 3, 4], ()),
    "all the same group": batch([4, 4, 4, 4], (4, 4)),
    "identical vectors": batch(GROUPS).map(torch.ones_like),
    "zero vectors": batch(GROUPS).map(torch.zeros_like),
    "a zero vector": batch(GROUPS).map(lambda vectors: vectors * (torch.arange(len(vectors)) != 1)[:, None]),
    "opposite and far": batch(GROUPS).map(lambda vectors: 1000 * vectors.sign()),
    "negative group numbers": batch([-1, -1, -9, 2**62]),
}


@pytest.fixture(params=CASES)
def loss(request: pytest.FixtureRequest) -> Loss:
    return CASES[request.param]


@pytest.fixture(params=TEMPERED)
def tempered(request: pytest.FixtureRequest) -> Loss:
    return TEMPERED[request.param]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_hostile_batches_give_a_finite_loss_and_finite_gradients(loss: Loss, name: str, dtype: torch.dtype) -> None:
    given = HOSTILE[name].map(lambda vectors: vectors.detach().to(dtype).requires_grad_())
    value = loss(given)
    value.backward()
    assert value.dtype == torch.float32
    assert value.shape == ()
    assert torch.isfinite(value)
    assert given.first.grad is not None
    assert torch.isfinite(given.first.grad).all()
    if given.second.grad is not None:
        assert torch.isfinite(given.second.grad).all()


@pytest.mark.parametrize("groups", [GROUPS, [1, 2, 3]], ids=["positives", "none"])
def test_the_gradient_is_that_of_the_value(loss: Loss, groups: list[int]) -> None:
    given = batch(groups)
    follows = torch.zeros(2, *given.first.shape, dtype=torch.float64)

    def moved(step: Tensor) -> Tensor:
        return loss(replace(given, first=given.first + step, second=given.second))

    assert torch.autograd.gradcheck(moved, (follows[0].requires_grad_(),))


@pytest.mark.parametrize("groups", [GROUPS, [1, 1, 1, 2, 2, 3]])
def test_the_order_of_samples_changes_nothing(loss: Loss, groups: list[int]) -> None:
    given = batch(groups)
    order = torch.tensor([4, 2, 5, 0, 3, 1])
    shuffled = replace(
        given,
        first=given.first[order],
        second=given.second[order],
        groups=given.groups[order],
        extra=given.extra.flip(0),
        extra_groups=given.extra_groups.flip(0),
    )
    torch.testing.assert_close(loss(shuffled), loss(given))


def test_the_numbers_of_the_groups_change_nothing(loss: Loss) -> None:
    given = batch(GROUPS)
    renamed = replace(given, groups=100 - 7 * given.groups, extra_groups=100 - 7 * given.extra_groups)
    torch.testing.assert_close(loss(renamed), loss(given), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_computed_in_float32_under_autocast_too(loss: Loss, dtype: torch.dtype) -> None:
    half = batch(GROUPS).map(lambda vectors: vectors.to(dtype))
    exact = loss(half.map(torch.Tensor.double))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(half)
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -0.07, float("nan"), float("inf")])
def test_a_temperature_that_is_not_above_0_is_refused(tempered: Loss, temperature: float) -> None:
    with pytest.raises(ValueError, match=f"temperature is {temperature}, must be finite and above 0: 0.07"):
        tempered(batch(GROUPS), temperature=temperature)


def test_an_unknown_metric_is_refused(tempered: Loss) -> None:
    with pytest.raises(ValueError, match="metric is 'dot', must be one of cosine, euclidean"):
        tempered(batch(GROUPS), metric="dot")


BAD = {
    "a dim that differs": ("second", lambda b: b.second[:, :4], "dim 4, .* dim 6: encode both with the same network"),
    "rows that are missing": ("second", lambda b: b.second[1:], "rows"),
    "one vector without a batch": ("first", lambda b: b.first[0], r"\[6\], must be floating \[n, dim\]"),
    "whole numbers for vectors": ("first", lambda b: b.first.long(), r"int64 \[6, 6\], must be floating"),
}
BAD_GROUPS = {
    "groups that are missing": ("groups", lambda b: b.groups[1:], "rows"),
    "groups in a matrix": ("groups", lambda b: b.groups[:, None], r"groups is .*\[6, 1\], must be int64 \[n\]"),
    "fractions for groups": ("groups", lambda b: b.groups.double(), r"groups is torch.float64 \[6\], must be int64"),
}
BAD_EXTRA = {
    "extra of another dim": ("extra", lambda b: b.extra[:, :4], "dim 4"),
    "extra without groups": ("extra_groups", lambda b: b.extra_groups[1:], "has 1 rows, .* has 2: row i"),
}


def spoilt(field: str, change: Callable[[Batch], Tensor]) -> Batch:
    given = batch(GROUPS)
    assert field in {known.name for known in fields(Batch)}
    return replace(given, **{field: change(given)})


@pytest.mark.parametrize("name", [name for name in CASES if "sizes" not in name])
@pytest.mark.parametrize("bad", BAD)
def test_vectors_that_do_not_fit_are_refused(name: str, bad: str) -> None:
    field, change, message = BAD[bad]
    with pytest.raises(ValueError, match=message):
        CASES[name](spoilt(field, change))


@pytest.mark.parametrize("bad", BAD_GROUPS)
def test_groups_that_do_not_fit_are_refused(tempered: Loss, bad: str) -> None:
    field, change, message = BAD_GROUPS[bad]
    with pytest.raises(ValueError, match=message):
        tempered(spoilt(field, change))


@pytest.mark.parametrize("loss", [info_nce, moco])
@pytest.mark.parametrize("bad", BAD_EXTRA)
def test_extra_vectors_that_do_not_fit_are_refused(loss: Loss, bad: str) -> None:
    field, change, message = BAD_EXTRA[bad]
    with pytest.raises(ValueError, match=message):
        with_extra(loss)(spoilt(field, change))
