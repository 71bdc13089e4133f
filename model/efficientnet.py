"""EfficientNet-Lite0: a small image network of mobile inverted bottlenecks.

After Tan and Le, "EfficientNet" (2019), in the Lite form of the TensorFlow project: ReLU6, no squeeze-and-excitation. Its
published weights were trained with TensorFlow's "same" padding, which pads more at the end than at the start.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

WIDTH = 1280
STEM = 32
STAGES = (
    # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
NAMES = {
    "_conv_stem": "stem.convolution",
    "_conv_head": "head.convolution",
    "_blocks": "blocks",
    "_expand_conv": "expand.convolution",
    "_depthwise_conv": "depthwise.convolution",
    "_project_conv": "project.convolution",
}
"""Names of the published weights, where they are not those of here."""


class ConvNorm(nn.Module):
    """Convolution with TensorFlow's padding, batch normalisation, and ReLU6 unless linear."""

    def __init__(
        self, into: int, out: int, kernel: int = 1, stride: int = 1, *, linear: bool = False, groups: int = 1
    ) -> None:
        super().__init__()
        total = kernel - stride
        self.pad = nn.ZeroPad2d((total // 2, total - total // 2) * 2) if total > 0 else nn.Identity()
        self.convolution = nn.Conv2d(into, out, kernel, stride, groups=groups, bias=False)
        nn.init.kaiming_normal_(self.convolution.weight)
        self.norm = nn.BatchNorm2d(out, eps=1e-3, momentum=0.01)
        self.activation = nn.Identity() if linear else nn.ReLU6()

    def forward(self, values: Tensor) -> Tensor:
        """Float32 [n, into, h, w] -> [n, out, h / stride, w / stride]; h and w are multiples of the stride."""
        convolved: Tensor = self.activation(self.norm(self.convolution(self.pad(values))))
        return convolved


class Bottleneck(nn.Module):
    """Widen, filter each channel, narrow; added to the input where shapes agree."""

    def __init__(self, into: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = into * expansion
        self.expand = ConvNorm(into, wide) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(wide, wide, kernel, stride, groups=wide)
        self.project = ConvNorm(wide, out, linear=True)
        self.adds = stride == 1 and into == out

    def forward(self, values: Tensor) -> Tensor:
        """Float32 [n, into, h, w] -> [n, out, h / stride, w / stride]."""
        narrowed: Tensor = self.project(self.depthwise(self.expand(values)))
        return values + narrowed if self.adds else narrowed


class EfficientNetLite0(nn.Module):
    """The network up to its pooled features.

    Shape:
        float32 [n, 3, h, w], h and w multiples of 32 -> float32 [n, 1280].
    """

    def __init__(self) -> None:
        super().__init__()
        self.width = WIDTH
        self.stem = ConvNorm(3, STEM, 3, 2)
        self.blocks = nn.Sequential(*_blocks())
        self.head = ConvNorm(STAGES[-1][-1], WIDTH)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Mean over space of the last features."""
        features: Tensor = self.head(self.blocks(self.stem(pixel_values)))
        return features.mean(dim=(2, 3))


def renamed(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published weights under the names of here, without the classifier."""
    return {_name(name.split(".")): tensor for name, tensor in published.items() if not name.startswith("_fc.")}


def _name(parts: list[str]) -> str:
    """Normalisations belong to the convolution before them; a first block has no expansion, and still counts from _bn1."""
    owners = {"_bn0": "expand", "_bn1": "depthwise", "_bn2": "project"} if parts[0] == "_blocks" else {}
    owners = owners or {"_bn0": "stem", "_bn1": "head"}
    return ".".join(f"{owners[part]}.norm" if part in owners else NAMES.get(part, part) for part in parts)


def _blocks() -> list[Bottleneck]:
    blocks, into = [], STEM
    for count, kernel, stride, expansion, out in STAGES:
        for number in range(count):
            blocks.append(Bottleneck(into, out, kernel, 1 if number else stride, expansion))
            into = out
    return blocks
