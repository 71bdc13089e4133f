"""The builder of the default bundle, without the network: pooling, and what it refuses."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from model import default
from model.bundle import BundleError


def test_pooling_is_the_normalised_mean_of_unmasked_tokens() -> None:
    table = np.random.default_rng(1).normal(size=(10, default.DIM)).astype(np.float32)
    kinds = np.random.default_rng(2).normal(size=(2, default.DIM)).astype(np.float32)
    names = ("input_ids", "attention_mask", "token_type_ids")
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["words"]),
            helper.make_node("Gather", ["kinds", "token_type_ids"], ["kind"]),
            helper.make_node("Add", ["words", "kind"], ["hidden"]),
        ],
        "raw",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "t"]) for name in names],
        [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["b", "t", default.DIM])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(kinds, "kinds")],
    )
    raw = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    session = ort.InferenceSession(default.pooled(raw).SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"input_ids": np.array([[1, 2, 9], [3, 4, 5]]), "attention_mask": np.array([[1, 1, 0], [1, 1, 1]])}
    assert {node.name for node in session.get_inputs()} == set(feeds)
    (vectors,) = session.run(["vector"], feeds)
    for vector, rows in zip(vectors, ([1, 2], [3, 4, 5]), strict=True):
        mean = table[rows].mean(axis=0) + kinds[0]
        assert np.allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("keep me")
    with pytest.raises(BundleError, match=f"{tmp_path} exists and is no model bundle"):
        default.build(tmp_path, tmp_path / "no.jar")
    assert (tmp_path / "letters.txt").read_text() == "keep me"


def test_another_package_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    jar = tmp_path / "other.jar"
    with zipfile.ZipFile(jar, "w") as package:
        package.writestr(default.ONNX_IN_JAR, b"something else")
        package.writestr(default.TOKENIZER_IN_JAR, b"{}")
    with pytest.raises(BundleError, match=f"has sha256 [0-9a-f]{{64}}, expected {default.ONNX_SHA256}"):
        default.build(tmp_path / "bundle", jar)
    assert list(tmp_path.iterdir()) == [jar]


def test_bytes_that_are_no_package_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.jar").write_bytes(b"PK")
    with pytest.raises(BundleError, match="is not the package"):
        default.build(tmp_path / "bundle", tmp_path / "broken.jar")


def test_a_missing_maven_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BundleError, match="apt-get install maven"):
        default.build(tmp_path / "bundle")
