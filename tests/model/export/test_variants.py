from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from model.bundle import ENCODER, load_manifest
from model.export.card import CARD
from model.export.drift import drift
from model.export.variants import BLOCK, Kind, blocks_of, variant
from model.runtime import OnnxEncoder


@pytest.fixture(scope="module", params=["fp16", "int8"])
def made(
    request: pytest.FixtureRequest, text_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Kind, Path]:
    folder = tmp_path_factory.mktemp("variant") / "bundle"
    variant(text_bundle, folder, request.param)
    return request.param, folder


def test_a_variant_is_a_smaller_bundle_of_its_own(made: tuple[Kind, Path], text_bundle: Path) -> None:
    kind, folder = made
    manifest = load_manifest(folder)
    assert manifest.name == f"tiny-{kind}"
    assert OnnxEncoder.load(folder, "cpu", 1).digest != OnnxEncoder.load(text_bundle, "cpu", 1).digest
    assert (folder / CARD).is_file()
    assert (folder / ENCODER).stat().st_size < 0.8 * (text_bundle / ENCODER).stat().st_size, "signs have a byte already"
    kept = {node.op_type for node in onnx.load(str(folder / ENCODER)).graph.node}
    assert ("MatMulNBits" in kept) == (kind == "int8")


def test_a_variant_stays_close_and_alone_is_as_in_a_batch(
    made: tuple[Kind, Path], text_bundle: Path, texts: list[str]
) -> None:
    vectors = OnnxEncoder.load(text_bundle, "cpu", 1).encode_texts(texts)
    encoder = OnnxEncoder.load(made[1], "cpu", 1)
    other = encoder.encode_texts(texts)
    found = drift(vectors, other)
    assert found.cosine_min > 0.999
    assert found.overlap > 0.95
    assert found.texts == 60
    assert not np.array_equal(vectors, other)
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert np.abs(alone - other).max() < 1e-4


def test_blocks_give_the_matrix_back_within_half_a_step() -> None:
    weight = np.random.default_rng(0).normal(size=(70, 5)).astype(np.float32)
    weight[:BLOCK, 2] = 0
    packed, scales = blocks_of(weight)
    assert (packed.shape, scales.shape) == ((5, 3, BLOCK), (5, 3))
    largest = np.abs(packed.astype(int) - 128).max(axis=2)
    assert largest[2, 0] == 0
    assert (np.delete(largest.ravel(), 6) == 127).all(), "each block uses all of its 8 bits"
    again = ((packed.astype(np.float32) - 128) * scales[:, :, None]).reshape(5, -1)[:, :70].T
    step = np.repeat(scales, BLOCK, axis=1)[:, :70].T
    assert (np.abs(again - weight) <= step / 2 + 1e-6).all()


def test_drift_of_equal_and_of_shuffled_vectors() -> None:
    angles = np.linspace(0, 3, 40)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    same = drift(vectors, vectors)
    assert (round(same.cosine_min, 6), same.overlap) == (1, 1)
    shuffled = drift(vectors, np.random.default_rng(0).permutation(vectors))
    assert shuffled.cosine_mean < 0.6
    assert shuffled.cosine_min < -0.5
    assert shuffled.overlap < 0.5
    with pytest.raises(ValueError, match="10 texts are too few for lists of 10"):
        drift(vectors[:10], vectors[:10])
