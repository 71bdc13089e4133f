"""Smaller variants of a bundle: half precision, and 8-bit weights.

Both keep a vector independent of what else is in its batch. Dynamic int8 does not (it scales activations over the whole
batch), so it is not offered.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from model.bundle import ENCODER, TOKENIZER, Manifest, load_manifest, sha256_of, write_manifest
from model.export.bundle import placed
from model.export.card import CARD

Kind: TypeAlias = Literal["fp16", "int8"]
BLOCK = 32
"""Numbers of a weight matrix that share one scale."""
MATRIX = 2
MICROSOFT = "com.microsoft"
LARGE_TABLE = 2**16
"""Numbers; smaller tables are not worth a conversion."""
KEPT_SINGLE = [*DEFAULT_OP_BLOCK_LIST, "ReduceL2", "LayerNormalization", "Log", "Exp", "Mod", "Clip"]
"""Sums of squares and inverse frequencies leave the range of half precision."""


def variant(source: Path, folder: Path, kind: Kind) -> Manifest:
    """Make a variant of a bundle, as a bundle of its own.

    Args:
        source: the bundle in single precision.
        folder: of the variant.
        kind: ``fp16`` halves the size and is fast on GPUs; ``int8`` keeps the weights of matrices in 8 bits and tables in
            half precision, and is fast on CPUs.

    Raises:
        BundleError: the source is no sound bundle, or the variant cannot be served.
    """
    manifest = load_manifest(source)

    def fill(made: Path) -> Manifest:
        onnx.save(MAKERS[kind](onnx.load(str(source / ENCODER))), str(made / ENCODER))
        for name in (TOKENIZER, CARD):
            if (source / name).is_file():
                shutil.copy2(source / name, made / name)
        hashes = {name: sha256_of(made / name) for name in (ENCODER, TOKENIZER)}
        changed = msgspec.structs.replace(manifest, name=f"{manifest.name}-{kind}", sha256=hashes)
        write_manifest(made, changed)
        return changed

    return placed(folder, fill)


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """All but sums of squares and the like in half precision; inputs and output stay float32."""
    halved: onnx.ModelProto = convert_float_to_float16(model, keep_io_types=True, op_block_list=KEPT_SINGLE)
    return halved


def eight_bit(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights of matrix products in 8 bits, symmetric, by blocks of 32; tables that are looked up in half precision.

    ONNX Runtime's MatMulNBits multiplies with activations that it rounds by blocks of each row, never over the batch.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == MATRIX}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            _quantise(graph, node, numpy_helper.to_array(weights[node.input[1]]))
    _drop_unused(graph)
    model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return half_tables(model)


def _quantise(graph: onnx.GraphProto, node: onnx.NodeProto, weight: NDArray[np.float32]) -> None:
    """Turn a MatMul by float32 [rows, columns] into MatMulNBits."""
    rows, columns = weight.shape
    name = node.output[0]
    packed, scales = blocks_of(weight)
    graph.initializer.append(numpy_helper.from_array(packed, f"{name}_packed"))
    graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scales"))
    settings = {"K": rows, "N": columns, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
    inputs = [node.input[0], f"{name}_packed", f"{name}_scales"]
    node.CopyFrom(helper.make_node("MatMulNBits", inputs, [name], node.name, domain=MICROSOFT, **settings))


def blocks_of(weight: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A matrix float32 [rows, columns] as 8-bit numbers around 128, each block of 32 rows of a column with its own scale.

    Returns:
        uint8 [columns, blocks, 32] and float32 [columns, blocks].
    """
    rows, columns = weight.shape
    blocks = np.pad(weight.T, ((0, 0), (0, -rows % BLOCK))).reshape(columns, -1, BLOCK)
    scales = np.maximum(np.abs(blocks).max(axis=2), np.finfo(np.float32).tiny) / 127
    return (np.rint(blocks / scales[:, :, None]) + 128).astype(np.uint8), scales.astype(np.float32)


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def half_tables(model: onnx.ModelProto) -> onnx.ModelProto:
    """Large tables that are only looked up are kept in half precision; the rows that were looked up become float32."""
    graph = model.graph
    for table in filter(_is_large, graph.initializer):
        users = [node for node in graph.node if table.name in node.input]
        if all(node.op_type == "Gather" and node.input[0] == table.name for node in users):
            table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table).astype(np.float16), table.name))
            for node in users:
                _widen(graph, node)
    return model


def _is_large(table: TensorProto) -> bool:
    return table.data_type == TensorProto.FLOAT and int(np.prod(table.dims)) >= LARGE_TABLE


def _widen(graph: onnx.GraphProto, gather: onnx.NodeProto) -> None:
    """Put a cast to float32 behind a lookup, under the lookup's old name."""
    name, narrow = gather.output[0], f"{gather.output[0]}_half"
    gather.output[0] = narrow
    place = list(graph.node).index(gather) + 1
    graph.node.insert(place, helper.make_node("Cast", [narrow], [name], to=TensorProto.FLOAT))
    for info in [info for info in graph.value_info if info.name == narrow]:
        graph.value_info.remove(info)


MAKERS: dict[Kind, Callable[[onnx.ModelProto], onnx.ModelProto]] = {"fp16": half, "int8": eight_bit}
