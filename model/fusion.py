"""Text and image features to one vector; a product without one of them is normal and has a learned stand-in for it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional


class FusionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How text and image become one.

    Attributes:
        kind: ``gated``, or ``concat``.
        hidden: width of the hidden layer of ``concat``; ``gated`` has none.
        modality_dropout: share of the products with both of which training hides one, either as often.
    """

    kind: Literal["concat", "gated"] = "gated"
    hidden: int = 512
    modality_dropout: float = 0.2


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
    """A gate, learned from both, decides in each dimension how much comes from the text and how much from the image.

    After Arevalo et al., "Gated Multimodal Units for Information Fusion" (2017), with unit projections in place of tanh, and
    told what is missing. It starts as the plain mean of both projections, where a missing one adds nothing.

    Shape:
        as ConcatFusion.
    """

    def __init__(self, text_width: int, image_width: int, dim: int) -> None:
        super().__init__()
        self.text = projection(text_width, dim)
        self.image = projection(image_width, dim)
        self.no_text = nn.Parameter(torch.zeros(dim))
        self.no_image = nn.Parameter(torch.zeros(dim))
        self.gate = nn.Linear(2 * dim + 2, dim)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, text: Tensor, image: Tensor, has_text: Tensor, has_image: Tensor) -> Tensor:
        """Fuse."""
        words = _or(functional.normalize(self.text(text), dim=1, eps=1e-6), self.no_text, has_text)
        look = _or(functional.normalize(self.image(image), dim=1, eps=1e-6), self.no_image, has_image)
        gate = torch.sigmoid(self.gate(torch.cat([words, look, has_text, has_image], dim=1)))
        return gate * words + (1 - gate) * look


Fusion: TypeAlias = ConcatFusion | GatedFusion


def fusion(config: FusionConfig, text_width: int, image_width: int, dim: int) -> Fusion:
    """The fusion that a config describes."""
    if config.kind == "gated":
        return GatedFusion(text_width, image_width, dim)
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
