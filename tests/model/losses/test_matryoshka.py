"""Matryoshka against a loop over the sizes."""

# ruff: noqa: E402 - torch comes with the train extra only

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from model.losses.infonce import info_nce
from model.losses.matryoshka import matryoshka
from model.losses.supcon import supcon

Make = Callable[..., Tensor]
GROUPS = torch.tensor([0, 1, 0, 2])


def unit(rows: Tensor, size: int) -> Tensor:
    return rows[:, :size] / rows[:, :size].norm(dim=1, keepdim=True)


@pytest.mark.parametrize("sizes", [(2, 4, 6), (3,), (6, 1)])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_it_is_the_mean_over_the_sizes_of_cut_unit_vectors(vectors: Make, sizes: tuple[int, ...], metric: str) -> None:
    first, second, extra, of_extra = vectors(4, seed=1), vectors(4, seed=2), vectors(3, seed=4), torch.tensor([0, 8, 9])
    nested = matryoshka(info_nce, sizes)
    value = nested(first, second, GROUPS, negatives=extra, negative_groups=of_extra, temperature=0.3, metric=metric)
    expected = [
        info_nce(
            unit(first, size), unit(second, size), GROUPS, unit(extra, size), of_extra, temperature=0.3, metric=metric
        )
        for size in sizes
    ]
    torch.testing.assert_close(value, sum(expected) / len(sizes))


def test_it_wraps_losses_of_other_arguments(vectors: Make) -> None:
    rows = vectors(4)
    expected = (supcon(unit(rows, 2), GROUPS) + supcon(rows, GROUPS)) / 2
    torch.testing.assert_close(matryoshka(supcon, (2, 6))(rows, GROUPS), expected)


def test_numbers_beyond_the_largest_size_have_no_gradient(vectors: Make) -> None:
    rows = vectors(4)
    matryoshka(supcon, (2, 4))(rows, GROUPS).backward()
    assert rows.grad[:, :4].any()
    assert not rows.grad[:, 4:].any()


def test_half_precision_is_cut_in_float32(vectors: Make) -> None:
    rows = vectors(4).bfloat16()
    nested = matryoshka(supcon, (2, 6))
    torch.testing.assert_close(nested(rows, GROUPS), nested(rows.float(), GROUPS), rtol=0, atol=0)


@pytest.mark.parametrize("sizes", [(), (0, 4), (4, 4), (-2,)])
def test_sizes_that_say_nothing_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"sizes is .*, must be distinct and above 0"):
        matryoshka(supcon, sizes)


def test_a_size_above_the_dim_is_refused(vectors: Make) -> None:
    with pytest.raises(ValueError, match="sizes has 8, vectors have dim 6: name no size above"):
        matryoshka(supcon, (4, 8))(vectors(4), GROUPS)
