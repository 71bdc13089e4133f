"""Tiny bundles made on the spot: a bag-of-words encoder, and one that reads images too. No download."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from model.bundle import ENCODER, TOKENIZER, ImageSpec, Manifest, sha256_of, write_manifest

DIM = 8
SIDE = 4
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(40)), "red", "blue", "shoe", "desk"]
TEXT_INPUTS = ("input_ids", "attention_mask")
IMAGE_INPUTS = ("pixel_values", "has_text", "has_image")
IMAGE = ImageSpec(height=SIDE, width=SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.125))


def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_padding(length=16)
    return tokenizer


def tiny_model(dim: int = DIM, *, images: bool = False, output: str = "vector") -> onnx.ModelProto:
    """Sum of the unmasked words' vectors, plus a linear map of the mean colour when it reads images; not normalised."""
    rng = np.random.default_rng(7)
    table = numpy_helper.from_array(rng.normal(size=(len(WORDS), dim)).astype(np.float32), "table")
    colours = numpy_helper.from_array(rng.normal(size=(3, dim)).astype(np.float32), "colours")
    one, two = (numpy_helper.from_array(np.array([axis], np.int64), name) for axis, name in ((1, "one"), (2, "two")))
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "input_ids"], ["words"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "two"], ["mask3"]),
        node("Mul", ["words", "mask3"], ["masked"]),
        node("ReduceSum", ["masked", "one"], ["text"], keepdims=0),
    ]
    nodes += _image_nodes(output) if images else [node("Identity", ["text"], [output])]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "t"]) for name in TEXT_INPUTS]
    if images:
        shapes: dict[str, list[str | int | None]] = {
            "pixel_values": ["b", 3, SIDE, SIDE],
            "has_text": ["b", 1],
            "has_image": ["b", 1],
        }
        inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["b", dim])]
    weights = [table, one, two, *([colours] if images else [])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _image_nodes(output: str) -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("ReduceMean", ["pixel_values"], ["colour"], axes=[2, 3], keepdims=0),
        node("MatMul", ["colour", "colours"], ["picture"]),
        node("Mul", ["picture", "has_image"], ["seen"]),
        node("Mul", ["text", "has_text"], ["read"]),
        node("Add", ["read", "seen"], [output]),
    ]


def write_bundle(folder: Path, model: onnx.ModelProto, **manifest: object) -> Path:
    """A bundle with the model; ``manifest`` overrides fields. Hashes are right unless overridden."""
    folder.mkdir(exist_ok=True)
    onnx.save(model, str(folder / ENCODER))
    tiny_tokenizer().save(str(folder / TOKENIZER))
    fields: dict[str, object] = {
        "format": 1,
        "name": "tiny",
        "dim": DIM,
        "metric": "cosine",
        "max_tokens": 12,
        "inputs": TEXT_INPUTS,
        "sha256": {name: sha256_of(folder / name) for name in (ENCODER, TOKENIZER)},
        "source": "made by the tests",
        "licence": "Apache-2.0",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
    }
    write_manifest(folder, Manifest(**(fields | manifest)))  # type: ignore[arg-type]
    return folder


MakeBundle = Callable[..., Path]


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """``make_bundle(dim=..., images=..., output=..., **manifest)`` -> folder; the graph follows the first three."""

    def make(model_dim: int = DIM, images: bool = False, output: str = "vector", **manifest: object) -> Path:
        given = {"inputs": TEXT_INPUTS + IMAGE_INPUTS, "image": IMAGE} if images else {}
        return write_bundle(
            tmp_path / "bundle", tiny_model(model_dim, images=images, output=output), **(given | manifest)
        )

    return make


@pytest.fixture
def image_spec() -> ImageSpec:
    return IMAGE
