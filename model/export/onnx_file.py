"""The network as an ONNX graph: pooling, fusion, n-grams and normalisation inside, batch and tokens free."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.network import ProductEncoder
from model.runtime import IMAGE_INPUTS, TEXT_INPUTS

OPSET = 20
"""The first with Gelu as one operator."""
SAMPLE_TOKENS = (9, 7, 2)
"""Lengths of the texts that the graph is traced with; only the number of dimensions is kept of them."""


class Shortened(nn.Module):
    """The first ``dim`` numbers, normalised anew, of a network that was trained for that (Matryoshka).

    Kusupati et al., "Matryoshka Representation Learning" (2022).

    Raises:
        ValueError: the network gives fewer.
    """

    def __init__(self, network: ProductEncoder, dim: int) -> None:
        super().__init__()
        if not 0 < dim <= network.config.dim:
            raise ValueError(f"dim={dim} is asked for, the network gives {network.config.dim}: ask for no more")
        self.network, self.dim = network, dim

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        pixel_values: Tensor | None = None,
        has_text: Tensor | None = None,
        has_image: Tensor | None = None,
    ) -> Tensor:
        """As the network's, to float32 [n, dim]."""
        vectors: Tensor = self.network(input_ids, attention_mask, pixel_values, has_text, has_image)
        return functional.normalize(vectors[:, : self.dim], dim=1, eps=1e-6)


def inputs_of(network: ProductEncoder) -> tuple[str, ...]:
    """Names of the graph's inputs."""
    return TEXT_INPUTS + (IMAGE_INPUTS if network.image is not None else ())


def sample(network: ProductEncoder, lengths: tuple[int, ...], seed: int = 0) -> dict[str, Tensor]:
    """Inputs of random tokens and pixels, one row for each length; a network that reads images gets every mixture."""
    random = torch.Generator().manual_seed(seed)
    rows = len(lengths)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()
    ids = torch.randint(0, network.text.vocabulary, (rows, max(lengths)), generator=random) * mask
    if network.config.image is None:
        return {"input_ids": ids, "attention_mask": mask}
    side = network.config.image.size
    has_image = (torch.arange(rows) % 3 != 0).float().unsqueeze(1)
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "pixel_values": torch.randn((rows, 3, side, side), generator=random) * has_image[:, :, None, None],
        "has_text": (torch.arange(rows) % 3 != 1).float().unsqueeze(1),
        "has_image": has_image,
    }


def write_onnx(network: ProductEncoder, file: Path, dim: int | None = None) -> None:
    """Export a network, which must be on the CPU and in evaluation mode.

    Args:
        network: the network.
        file: where the graph goes, weights included.
        dim: of the vector, if shorter than the network's.
    """
    assert not network.training, "dropout would become part of the graph"
    inputs = sample(network, SAMPLE_TOKENS)
    whole = network.config.dim
    traced = torch.onnx.export
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecated parts
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = traced(
            Shortened(network, dim or whole) if dim not in {None, whole} else network,
            tuple(inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=["vector"],
            dynamic_shapes=_free_axes(inputs),
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    _forget_origin(graph)
    onnx.save(graph, str(file))


def _free_axes(inputs: dict[str, Tensor]) -> dict[str, dict[int, torch.export.Dim]]:
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens")
    return {name: {0: batch, 1: tokens} if name in TEXT_INPUTS else {0: batch} for name in inputs}


def _forget_origin(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes about files and lines of the machine that it ran on."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
