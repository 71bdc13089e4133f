"""Text and image features to one vector; a product without one of them is normal and has a learned stand-in for it."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.lexical import SMALLEST
from model.ranges import Positive, Share

WEIGHT_ONE = math.log(math.e - 1)
"""Softplus of it is 1."""


class FusionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How text and image become one.

    Attributes:
        kind: ``gated``, or ``concat``.
        hidden: width of the hidden layer, of the head of ``concat`` or the gate of ``gated``.
        modality_dropout: share of the products with both of which training hides one, either as often.
        image_swap: share of the products with both that training shows the image of another product: an image is less
            sure to tell what a product is than a text that says so, which training data known by heart do not show.
    """

    kind: Literal["concat", "gated"] = "gated"
    hidden: Positive = 128
    modality_dropout: Share = 0.2
    image_swap: Share = 0.0


class ModalityDropout(nn.Module):
    """Hides text or image of some products while training, never the only one that there is.

    Shape:
        has_text, has_image float32 [n, 1] -> the same, with some ones made zeros.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, has_text: Tensor, has_image: Tensor) -> tuple[Tensor, Tensor]:
        """One draw a product decides both whether to hide and what."""
        if not self.training or self.share == 0:
            return has_text, has_image
        draw, both = torch.rand_like(has_text), has_text * has_image
        hide_text = both * (draw < self.share / 2)
        hide_image = both * (draw > 1 - self.share / 2)
        return has_text - hide_text, has_image - hide_image


class ImageSwap(nn.Module):
    """Gives some products the image of the one before them while training, where both have an image and the first a text.

    Shape:
        image float32 [n, width], has_text, has_image float32 [n, 1] -> float32 [n, width].
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, image: Tensor, has_text: Tensor, has_image: Tensor) -> Tensor:
        """One draw a product."""
        if not self.training or self.share == 0:
            return image
        able = has_text * has_image * has_image.roll(1, 0)
        return torch.where((torch.rand_like(has_text) < self.share) & (able > 0), image.roll(1, 0), image)


class ConcatFusion(nn.Module):
    """Concatenation and a projection head of two layers.

    Shape:
        text float32 [n, text_width], image float32 [n, image_width], has_text, has_image float32 [n, 1] -> float32 [n, dim].
    """

    def __init__(self, text_width: int, image_width: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.no_text = nn.Parameter(torch.zeros(text_width))
        self.no_image = nn.Parameter(torch.zeros(image_width))
        self.head = nn.Sequential(nn.Linear(text_width + image_width, hidden), nn.ReLU(), nn.Linear(hidden, dim))

    def forward(self, text: Tensor, image: Tensor, has_text: Tensor, has_image: Tensor) -> Tensor:
        """Fuse."""
        present = (_or(text, self.no_text, has_text), _or(image, self.no_image, has_image))
        fused: Tensor = self.head(torch.cat(present, dim=1))
        return fused


class GatedFusion(nn.Module):
    """A gate, learned from the text, weighs the text and the image of each product; the vector is their weighted sum.

    After Arevalo et al., "Gated Multimodal Units for Information Fusion" (2017), with unit projections in place of tanh, a
    gate of two layers that is told what is missing, and one weight for each modality in place of one for each dimension:
    how far a text or an image can be trusted is a matter of the whole of it. The gate reads the text alone: what it says
    decides how much is left for the image to tell, and the images of a training are soon known by heart, so that a gate
    that sees them trusts them too far. It starts as the plain sum of both projections, where a missing one adds nothing.

    Shape:
        as ConcatFusion.
    """

    def __init__(self, text_width: int, image_width: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.text_norm, self.image_norm = nn.LayerNorm(text_width), nn.LayerNorm(image_width)
        self.text = projection(text_width, dim)
        self.image = projection(image_width, dim)
        self.no_text = nn.Parameter(torch.zeros(dim))
        self.no_image = nn.Parameter(torch.zeros(dim))
        last = nn.Linear(hidden, 2)
        self.gate = nn.Sequential(nn.Linear(text_width + 2, hidden), nn.ReLU(), last)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, WEIGHT_ONE)

    def forward(self, text: Tensor, image: Tensor, has_text: Tensor, has_image: Tensor) -> Tensor:
        """Fuse."""
        text, image = self.text_norm(text), self.image_norm(image)
        words = _or(functional.normalize(self.text(text), dim=1, eps=SMALLEST), self.no_text, has_text)
        look = _or(functional.normalize(self.image(image), dim=1, eps=SMALLEST), self.no_image, has_image)
        weights = functional.softplus(self.gate(torch.cat([text * has_text, has_text, has_image], dim=1)))
        return weights[:, :1] * words + weights[:, 1:] * look


Fusion: TypeAlias = ConcatFusion | GatedFusion


def fusion(config: FusionConfig, text_width: int, image_width: int, dim: int) -> Fusion:
    """The fusion that a config describes."""
    if config.kind == "gated":
        return GatedFusion(text_width, image_width, dim, config.hidden)
    return ConcatFusion(text_width, image_width, dim, config.hidden)


def projection(width: int, dim: int) -> nn.Linear:
    """A linear map that starts orthogonal, and so keeps angles as far as its size allows."""
    layer = nn.Linear(width, dim)
    nn.init.orthogonal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _or(features: Tensor, missing: Tensor, has: Tensor) -> Tensor:
    """The features where there are some, the stand-in where not."""
    return features * has + missing * (1 - has)
