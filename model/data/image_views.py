"""Another photo of the same product: augmentation of images."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms import v2

from model.bundle import ImageSpec

LEAST_AREA = 0.4
"""Share of the picture that the smallest crop keeps, at strength 1."""
WHITE = 1.0


class ImageViews:
    """Random views of images that are already resized and normalised by ``model.images.pixels``.

    A shift and a zoom out on white, as product photos have it; a crop, a mirror image, light and contrast, a little blur
    and a blank patch. Hue moves little and grey is never made: colour tells products apart.
    """

    def __init__(self, spec: ImageSpec, strength: float) -> None:
        """Prepare the views.

        Args:
            spec: of the pixels: size, mean and deviation.
            strength: 0 (no change) to 1.

        Raises:
            ValueError: the strength is out of range.
        """
        if not 0 <= strength <= 1:
            raise ValueError(f"strength={strength} is out of range: choose one from 0 to 1")
        self._mean = torch.tensor(spec.mean).view(3, 1, 1)
        self._std = torch.tensor(spec.std).view(3, 1, 1)
        self._strength = strength
        self._change = _changes(spec, strength)

    def __call__(self, pixels: Tensor, seed: int) -> Tensor:
        """A view of each image; the same seed gives the same views, and the generator of torch is left as it was.

        Args:
            pixels: float32 [n, 3, h, w], normalised.
            seed: of all choices.

        Returns:
            float32 [n, 3, h, w], normalised.
        """
        if self._strength == 0 or len(pixels) == 0:
            return pixels
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            colours = (pixels * self._std + self._mean).clamp(0, 1)
            views = torch.stack([self._change(image) for image in colours])
        return (views.clamp(0, 1) - self._mean) / self._std


def _changes(spec: ImageSpec, strength: float) -> v2.Compose:
    """The transforms, on float images from 0 to 1."""
    size = (spec.height, spec.width)
    colour = v2.ColorJitter(
        brightness=0.3 * strength, contrast=0.3 * strength, saturation=0.2 * strength, hue=0.02 * strength
    )
    shift = v2.RandomAffine(
        degrees=8 * strength, translate=(0.1 * strength,) * 2, scale=(1 - 0.25 * strength, 1.0), fill=WHITE
    )
    crop = v2.RandomResizedCrop(size, scale=(1 - (1 - LEAST_AREA) * strength, 1.0), ratio=_ratios(size), antialias=True)
    return v2.Compose(
        [
            v2.RandomApply([shift], 0.5 * strength),
            crop,
            v2.RandomHorizontalFlip(0.5 * strength),
            v2.RandomApply([colour], 0.8 * strength),
            v2.RandomApply([v2.GaussianBlur(3, (0.1, 1.0))], 0.3 * strength),
            v2.RandomErasing(0.25 * strength, scale=(0.02, 0.15), value=WHITE),
        ]
    )


def _ratios(size: tuple[int, int]) -> tuple[float, float]:
    """Shapes of crops, width to height, around that of the picture."""
    ratio = size[1] / size[0]
    return ratio * 0.85, ratio / 0.85
