from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer

from model.bundle import ENCODER, TextSpec, load_manifest
from model.export.bundle import About, export, placed
from model.export.card import CARD, Card
from model.export.checking import ExportError, check, largest_difference
from model.export.onnx_file import OPSET
from model.network import ProductEncoder
from model.runtime import OnnxEncoder


def test_the_bundle_says_what_it_is(text_bundle: Path) -> None:
    manifest = load_manifest(text_bundle)
    assert (manifest.name, manifest.dim, manifest.metric, manifest.max_tokens) == ("tiny", 32, "cosine", 40)
    assert manifest.inputs == ("input_ids", "attention_mask")
    assert manifest.image is None
    assert sorted(file.name for file in text_bundle.iterdir()) == [
        CARD,
        "encoder.onnx",
        "manifest.json",
        "tokenizer.json",
    ]
    card = (text_bundle / CARD).read_text("utf-8")
    for part in ("# tiny", "Licence: Apache-2.0", "abt_buy, split train", "| abt_buy | test | 0.912 |", "Limits"):
        assert part in card


def test_it_serves_the_vectors_of_the_network(
    text_bundle: Path, text_network: ProductEncoder, tokenizer: Tokenizer, texts: list[str]
) -> None:
    vectors = OnnxEncoder.load(text_bundle, "cpu", 1).encode_texts(texts)
    for text, vector in zip(texts, vectors, strict=True):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.inference_mode():
            expected = text_network(ids, torch.ones_like(ids))[0].numpy()
        assert np.abs(vector - expected).max() < 1e-5


def test_a_text_alone_and_in_a_batch_has_the_same_vector(text_bundle: Path, texts: list[str]) -> None:
    encoder = OnnxEncoder.load(text_bundle, "cpu", 1)
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert np.abs(encoder.encode_texts(texts) - alone).max() < 1e-5


def test_text_image_both(both_bundle: Path, both_network: ProductEncoder) -> None:
    encoder = OnnxEncoder.load(both_bundle, "cpu", 1)
    assert encoder.wants_images
    picture = io.BytesIO()
    Image.new("RGB", (40, 32), (200, 30, 30)).save(picture, "PNG")
    image = picture.getvalue()
    vectors = [encoder.encode_query(*query)[0] for query in (("w1 desk", None), (None, image), ("w1 desk", image))]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len({vector.tobytes() for vector in vectors}) == 3
    assert largest_difference(both_network, both_bundle / ENCODER) < 1e-4


def test_the_graph_has_its_opset_and_tells_nothing_of_the_machine(text_bundle: Path) -> None:
    model = onnx.load(str(text_bundle / ENCODER))
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [OPSET]
    assert str(Path(__file__).parents[3]).encode() not in (text_bundle / ENCODER).read_bytes()
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_a_shorter_vector_is_the_normalised_head_of_the_long_one(
    both_bundle: Path, both_network: ProductEncoder, tokenizer: Tokenizer, tmp_path: Path, texts: list[str]
) -> None:
    manifest = export(
        both_network,
        tokenizer,
        tmp_path / "short",
        About("short", "made by the tests", "Apache-2.0"),
        Card(),
        text=TextSpec(fields=("title",)),
        dim=6,
    )
    assert (manifest.dim, manifest.text.fields) == (6, ("title",))
    long = OnnxEncoder.load(both_bundle, "cpu", 1).encode_texts(texts)[:, :6]
    short = OnnxEncoder.load(tmp_path / "short", "cpu", 1).encode_texts(texts)
    assert np.abs(short - long / np.linalg.norm(long, axis=1, keepdims=True)).max() < 1e-5


def test_a_graph_that_differs_is_refused(text_bundle: Path, tokenizer: Tokenizer, text_network: ProductEncoder) -> None:
    assert check(text_network, text_bundle / ENCODER) < 1e-5
    other = ProductEncoder(text_network.config).eval()
    with pytest.raises(ExportError, match=r"encoder\.onnx differs from the network by"):
        check(other, text_bundle / ENCODER)
    other.load_state_dict(text_network.state_dict())
    with torch.no_grad():
        for weight in other.head.parameters():
            weight.fill_(torch.nan)
    with pytest.raises(ExportError, match="differs from the network by nan"):
        check(other, text_bundle / ENCODER)


def test_the_tokenizer_must_be_that_of_the_training(
    text_network: ProductEncoder, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    unread = ProductEncoder(text_network.config).eval()
    with pytest.raises(ExportError, match="the lexical branch has read another tokenizer, or none"):
        export(unread, tokenizer, tmp_path / "bundle", About("x", "y", "z"), Card())
    larger = Tokenizer.from_str(tokenizer.to_str())
    larger.add_tokens([f"v{i}" for i in range(40)])
    with pytest.raises(ExportError, match="the tokenizer has 77 tokens, the network 64"):
        export(text_network, larger, tmp_path / "bundle", About("x", "y", "z"), Card())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("keep me")
    with pytest.raises(ExportError, match="exists and is no model bundle"):
        placed(tmp_path, lambda made: pytest.fail("must not begin"))
    assert (tmp_path / "letters.txt").read_text() == "keep me"
