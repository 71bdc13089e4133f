"""Views of images: another picture of the same shape and colours, the same by seed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model.bundle import ImageSpec
from model.data.image_views import ImageViews

SPEC = ImageSpec(height=40, width=30, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
MEAN = torch.tensor(SPEC.mean).view(3, 1, 1)
STD = torch.tensor(SPEC.std).view(3, 1, 1)


@pytest.fixture
def pixels() -> Tensor:
    """Red squares on white, normalised, [4, 3, 40, 30]."""
    colours = torch.ones(4, 3, 40, 30)
    colours[:, 1:, 10:30, 8:22] = 0.1
    return (colours - MEAN) / STD


def test_views_differ_and_are_pictures(pixels: Tensor) -> None:
    views = ImageViews(SPEC, 1.0)(pixels, 3)
    colours = views * STD + MEAN

    assert views.shape == pixels.shape
    assert views.dtype == torch.float32
    assert colours.min() > -1e-5
    assert colours.max() < 1 + 1e-5
    assert len({view.sum().item() for view in views}) == 4, "each image has choices of its own"
    middle = colours[:, :, 15:25, 12:18].mean(dim=(2, 3))
    assert (middle[:, 0] > middle[:, 1:].amax(dim=1)).all(), "red stays red"


def test_seeds_decide_and_the_generator_of_torch_is_left_alone(pixels: Tensor) -> None:
    change = ImageViews(SPEC, 0.7)
    before = torch.random.get_rng_state()

    assert torch.equal(change(pixels, 3), change(pixels, 3))
    assert not torch.equal(change(pixels, 3), change(pixels, 4))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_strength_0_and_no_images_change_nothing(pixels: Tensor) -> None:
    assert torch.equal(ImageViews(SPEC, 0.0)(pixels, 3), pixels)
    assert ImageViews(SPEC, 1.0)(pixels[:0], 3).shape == (0, 3, 40, 30)


def test_weak_views_change_less_than_strong_ones(pixels: Tensor) -> None:
    weak, strong = (
        sum((ImageViews(SPEC, strength)(pixels, seed) - pixels).abs().mean().item() for seed in range(8))
        for strength in (0.2, 1.0)
    )

    assert 0 < weak < strong


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_strength_has_a_range(strength: float) -> None:
    with pytest.raises(ValueError, match="out of range"):
        ImageViews(SPEC, strength)
