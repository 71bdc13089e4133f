"""Losses by name are those of their files, called with two vectors a sample."""

# ruff: noqa: E402 - torch comes with the train extra only

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor

from model.losses.infonce import info_nce
from model.losses.labelled import labelled
from model.losses.registry import LOSSES
from model.losses.simclr import simclr
from model.losses.supcon import supcon

Make = Callable[..., Tensor]
GROUPS = torch.tensor([0, 1, 0, 2])


def test_a_name_stands_for_its_loss(vectors: Make) -> None:
    first, second = vectors(4, seed=1), vectors(4, seed=2)
    both, of_both = torch.cat([first, second]), torch.cat([GROUPS, GROUPS])
    expected = {
        "infonce": info_nce(first, second, GROUPS, temperature=0.3),
        "supcon": supcon(both, of_both, temperature=0.3),
        "labelled": labelled(both, of_both, temperature=0.3),
        "simclr": simclr(first, second, GROUPS, temperature=0.3),
    }
    assert LOSSES.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(LOSSES[name](first, second, GROUPS, temperature=0.3), value, rtol=0, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_descending_each_brings_partners_together_and_others_apart(vectors: Make, name: str) -> None:
    first, second, groups = vectors(4, seed=1), vectors(4, seed=2), torch.arange(4)
    steps = torch.optim.SGD([first, second], lr=0.3)
    for _ in range(60):
        steps.zero_grad()
        LOSSES[name](first, second, groups, temperature=0.5).backward()
        steps.step()
    alike = torch.nn.functional.normalize(first) @ torch.nn.functional.normalize(second).T
    assert alike.diagonal().min() > 0.7
    assert alike.argmax(dim=1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", LOSSES)
def test_sides_of_different_lengths_are_refused_even_if_their_sum_fits(vectors: Make, name: str) -> None:
    with pytest.raises(ValueError, match=r"(second|positives) has 3 rows, (first|anchors) has 5: row i"):
        LOSSES[name](vectors(5), vectors(3), GROUPS)
