"""The product encoder: text, and image where wanted, to one unit vector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from model import pretrained
from model.fusion import FusionConfig, ImageSwap, ModalityDropout, fusion, projection
from model.image_encoders import ImageConfig, ImageEncoder
from model.lexical import SMALLEST, LexicalBranch, LexicalConfig
from model.ranges import Positive
from model.text_encoders import TextConfig, TransformerConfig, TransformerEncoder, shape_of, text_encoder

Branch = Literal["all", "dense", "lexical"]
"""What a step of training looks at: the whole network, or text and image without the n-grams, or these alone."""


class NetworkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The architecture, wholly: with the weights it is the network.

    Attributes:
        text: the text encoder.
        dim: of the vector.
        max_tokens: text is cut here, special tokens included.
        projection: of a network that reads text only: a learned linear map, or none.
        image: the image encoder, for a network that reads images.
        fusion: how text and image become one, likewise.
        lexical: the branch of hashed n-grams.
    """

    text: TextConfig
    dim: Positive = 384
    max_tokens: Annotated[int, Meta(ge=3)] = 128
    projection: Literal["linear", "identity"] = "linear"
    image: ImageConfig | None = None
    fusion: FusionConfig = FusionConfig()
    lexical: LexicalConfig | None = None


class ProductEncoder(nn.Module):
    """The network, with random weights.

    Shape:
        input_ids, attention_mask int64 [n, tokens]; if it reads images also pixel_values float32 [n, 3, h, w], has_text,
        has_image float32 [n, 1] -> unit vectors float32 [n, dim].

    Attributes:
        branch: what of it training looks at; in evaluation mode that is all.

    Raises:
        ValueError: parts of the config do not fit together.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.branch: Branch = "all"
        self.text = text_encoder(config.text)
        self.image: ImageEncoder | None = None
        if config.image is None:
            self.head = _head(config, self.text.width)
        else:
            self.image = ImageEncoder(config.image)
            self.fusion = fusion(config.fusion, self.text.width, self.image.width, config.dim)
            self.modality_dropout = ModalityDropout(config.fusion.modality_dropout)
            self.image_swap = ImageSwap(config.fusion.image_swap)
        self.lexical: LexicalBranch | None = None
        if config.lexical is not None:
            self.lexical = LexicalBranch(config.lexical, self.text.vocabulary, config.dim)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        pixel_values: Tensor | None = None,
        has_text: Tensor | None = None,
        has_image: Tensor | None = None,
    ) -> Tensor:
        """Encode; a network that reads text only takes the first two and ignores the others."""
        if self._looks_at() == "lexical":
            assert self.lexical is not None, "a network without n-grams has nothing else to look at"
            words = self.lexical.unit(input_ids, attention_mask)
            return words if has_text is None else words * has_text
        if self.image is None:
            return self._joined(self.head(self.text(input_ids, attention_mask)), input_ids, attention_mask, None)
        assert pixel_values is not None, "a network that reads images takes all five inputs"
        assert has_text is not None, "a network that reads images takes all five inputs"
        assert has_image is not None, "a network that reads images takes all five inputs"
        has_text, has_image = self.modality_dropout(has_text, has_image)
        image = self.image_swap(self.image(pixel_values), has_text, has_image)
        fused = self.fusion(self.text(input_ids, attention_mask), image, has_text, has_image)
        return self._joined(fused, input_ids, attention_mask, has_text)

    def _joined(self, fused: Tensor, input_ids: Tensor, attention_mask: Tensor, has_text: Tensor | None) -> Tensor:
        unit = functional.normalize(fused, dim=1, eps=SMALLEST)
        if self.lexical is None or self._looks_at() == "dense":
            return unit
        words = self.lexical(input_ids, attention_mask)
        return functional.normalize(unit + (words if has_text is None else words * has_text), dim=1, eps=SMALLEST)

    def _looks_at(self) -> Branch:
        return self.branch if self.training else "all"


def build(config: NetworkConfig, cache: Path) -> ProductEncoder:
    """A network to train: the architecture, with the weights of its sources.

    Args:
        config: the sources are names of model.pretrained, or paths.
        cache: where what is fetched is kept.

    Raises:
        pretrained.FetchError: a source cannot be had.
        ValueError: a source is of another make, or parts of the config do not fit together.
    """
    text, source = config.text, None
    if isinstance(text, TransformerConfig) and text.source:
        source = pretrained.locate(text.source, cache)
        config = msgspec.structs.replace(config, text=msgspec.structs.replace(text, shape=shape_of(source)))
    network = ProductEncoder(config)
    if source is not None:
        assert isinstance(network.text, TransformerEncoder)
        network.text.read(source)
    if network.image is not None and config.image is not None and config.image.source:
        network.image.read(pretrained.locate(config.image.source, cache))
    if network.image is not None:
        network.image.to(memory_format=torch.channels_last)  # half the time of a convolution on a CPU
    return network


def parameters(network: nn.Module) -> int:
    """How many numbers train."""
    return sum(tensor.numel() for tensor in network.parameters() if tensor.requires_grad)


def device_of(network: nn.Module) -> torch.device:
    """Where its weights are."""
    return next(network.parameters()).device


def _head(config: NetworkConfig, width: int) -> nn.Module:
    if config.projection == "linear":
        return projection(width, config.dim)
    if config.dim != width:
        raise ValueError(
            f"dim={config.dim}, but the text encoder gives {width}: set projection to linear, or dim to {width}"
        )
    return nn.Identity()
