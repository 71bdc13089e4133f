"""Image encoders: ResNet-50, and the light EfficientNet-Lite0."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor, nn
from torchvision.models import resnet50

from model.bundle import ImageSpec
from model.efficientnet import EfficientNetLite0, renamed

STRIDE = 32
"""Both networks halve the picture five times."""
MEAN_STD: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "resnet50": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "efficientnet-lite0": ((127 / 255,) * 3, (128 / 255,) * 3),
}
"""What the published weights expect: ImageNet's mean and deviation, or (x - 127) / 128."""


class ImageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image encoder.

    Attributes:
        kind: the network.
        source: a name of model.pretrained or a file of weights; empty to train from scratch.
        size: height and width in pixels, a multiple of 32.
        frozen: whether the network keeps its weights; what follows it still trains.
    """

    kind: Literal["resnet50", "efficientnet-lite0"] = "efficientnet-lite0"
    source: str = ""
    size: int = 160
    frozen: bool = False


class ImageEncoder(nn.Module):
    """A convolutional network up to its pooled features.

    Shape:
        pixel_values float32 [n, 3, size, size] -> float32 [n, width].

    Raises:
        ValueError: the size is no multiple of 32.
    """

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        if config.size < STRIDE or config.size % STRIDE:
            raise ValueError(f"image.size={config.size} is no multiple of {STRIDE}: take 128, 160 or 224")
        self.kind, self.frozen = config.kind, config.frozen
        self.network = EfficientNetLite0() if config.kind == "efficientnet-lite0" else _resnet50()
        self.width: int = self.network.width
        self.requires_grad_(not config.frozen)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Encode pictures."""
        features: Tensor = self.network(pixel_values)
        return features

    def train(self, mode: bool = True) -> ImageEncoder:
        """A frozen network stays in evaluation mode: its batch normalisation must not move either."""
        super().train(mode and not self.frozen)
        return self

    def read(self, file: Path) -> None:
        """Take the weights of a file of torch, as torchvision and the packages of model.pretrained publish them.

        Raises:
            ValueError: they are those of another network.
        """
        published = torch.load(file, map_location="cpu", weights_only=True)
        weights = renamed(published) if self.kind == "efficientnet-lite0" else _headless(published)
        try:
            self.network.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"{file} is not {self.kind}: name its own weights ({str(error)[:200]})") from None


def image_spec(config: ImageConfig) -> ImageSpec:
    """How the bundle turns images into what this encoder takes."""
    mean, std = MEAN_STD[config.kind]
    return ImageSpec(height=config.size, width=config.size, mean=mean, std=std)


def _resnet50() -> Any:
    network = resnet50(weights=None)
    network.width = network.fc.in_features
    network.fc = nn.Identity()
    return network


def _headless(published: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in published.items() if not name.startswith("fc.")}
