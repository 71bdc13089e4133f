from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.efficientnet import STAGES, Bottleneck, ConvNorm, EfficientNetLite0
from model.image_encoders import ImageConfig, ImageEncoder, image_spec


def published() -> dict[str, Tensor]:
    """Names and shapes as in the published file of EfficientNet-Lite0; the numbers are random."""
    state: dict[str, Tensor] = {}

    def add(convolution: str, norm: str, *shape: int) -> None:
        state[f"{convolution}.weight"] = torch.randn(shape) / np.prod(shape[1:]) ** 0.5
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{part}"] = torch.rand(shape[0]) + 0.5
        state[f"{norm}.num_batches_tracked"] = torch.tensor(1)

    add("_conv_stem", "_bn0", 32, 3, 3, 3)
    into, number = 32, 0
    for count, kernel, _, expansion, out in STAGES:
        for _ in range(count):
            block, wide = f"_blocks.{number}.", into * expansion
            if expansion > 1:
                add(f"{block}_expand_conv", f"{block}_bn0", wide, into, 1, 1)
            add(f"{block}_depthwise_conv", f"{block}_bn1", wide, 1, kernel, kernel)
            add(f"{block}_project_conv", f"{block}_bn2", out, wide, 1, 1)
            into, number = out, number + 1
    add("_conv_head", "_bn1", 1280, 320, 1, 1)
    return state | {"_fc.weight": torch.zeros(1000, 1280), "_fc.bias": torch.zeros(1000)}


@pytest.mark.parametrize(("kind", "width"), [("efficientnet-lite0", 1280), ("resnet50", 2048)])
def test_pictures_become_features(kind: str, width: int) -> None:
    encoder = ImageEncoder(ImageConfig(kind=kind, size=64)).eval()  # type: ignore[arg-type]
    pictures = torch.randn(2, 3, 64, 64)
    together = encoder(pictures)
    assert together.shape == (2, encoder.width) == (2, width)
    assert torch.allclose(encoder(pictures[:1]), together[:1], atol=1e-4)


def test_published_weights_of_efficientnet_are_read(tmp_path: Path) -> None:
    state = published()
    torch.save(state, tmp_path / "weights.pth")
    encoder = ImageEncoder(ImageConfig(size=32))
    encoder.read(tmp_path / "weights.pth")
    network = encoder.network
    assert isinstance(network, EfficientNetLite0)
    assert len(state) == 296, "as many as in the published file"
    assert torch.equal(network.stem.norm.bias, state["_bn0.bias"])
    assert torch.equal(network.head.norm.bias, state["_bn1.bias"])
    block = network.blocks[3]
    assert isinstance(block, Bottleneck)
    assert isinstance(block.expand, ConvNorm)
    assert block.expand.norm.running_mean is not None
    assert torch.equal(block.expand.norm.running_mean, state["_blocks.3._bn0.running_mean"])
    assert torch.equal(block.depthwise.convolution.weight, state["_blocks.3._depthwise_conv.weight"])
    assert torch.equal(block.project.norm.weight, state["_blocks.3._bn2.weight"])


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(published(), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"weights\.pth is not resnet50: name its own weights"):
        ImageEncoder(ImageConfig(kind="resnet50", size=32)).read(tmp_path / "weights.pth")


def test_padding_is_that_of_tensorflow() -> None:
    """'Same' padding of an even size at stride 2 puts the odd row at the end."""
    layer = ConvNorm(1, 1, kernel=3, stride=2, linear=True).eval()
    nn.init.ones_(layer.convolution.weight)
    picture = torch.zeros(1, 1, 4, 4)
    picture[0, 0, 0, 0] = 1
    seen = layer(picture)[0, 0]
    assert seen.shape == (2, 2)
    assert (seen > 0.5).tolist() == [[True, False], [False, False]]
    picture = torch.zeros(1, 1, 4, 4)
    picture[0, 0, 2, 2] = 1
    assert (layer(picture)[0, 0] > 0.5).tolist() == [[True, True], [True, True]]


def test_pixels_are_what_the_weights_expect() -> None:
    spec = image_spec(ImageConfig())
    value = np.array([0, 127, 255]) / 255
    assert np.allclose((value - spec.mean[0]) / spec.std[0], (np.array([0, 127, 255]) - 127) / 128)
    assert (spec.height, spec.width) == (160, 160)


def test_a_frozen_network_does_not_move_at_all() -> None:
    encoder = ImageEncoder(ImageConfig(size=32, frozen=True)).train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encoder(torch.randn(4, 3, 32, 32))
    assert not any(weight.requires_grad for weight in encoder.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_a_size_that_does_not_halve_five_times_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image\.size=100 is no multiple of 32: take 128, 160 or 224"):
        ImageEncoder(ImageConfig(size=100))
