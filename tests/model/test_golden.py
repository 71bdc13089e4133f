"""The default bundle against the reference implementation (tests/golden/encoder/make_reference.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model.runtime import OnnxEncoder

pytestmark = pytest.mark.bundle


@pytest.fixture(scope="module")
def encoder(bundle: Path) -> OnnxEncoder:
    return OnnxEncoder.load(bundle, "cpu")


@pytest.fixture(scope="module")
def texts(repo_root: Path) -> list[str]:
    loaded: list[str] = json.loads((repo_root / "tests/golden/encoder/minilm.json").read_text("utf-8"))
    return loaded


def test_vectors_are_those_of_the_reference(encoder: OnnxEncoder, texts: list[str], repo_root: Path) -> None:
    with np.load(repo_root / "tests/golden/encoder/minilm.npz") as file:
        reference = file["vectors"]
    assert reference.shape == (len(texts), encoder.dim) == (24, 384)
    assert np.abs(encoder.encode_texts(texts) - reference).max() < 1e-4


def test_a_text_alone_and_in_any_batch_has_the_same_vector(encoder: OnnxEncoder, texts: list[str]) -> None:
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    for order in (np.arange(24), np.arange(24)[::-1], np.random.default_rng(0).permutation(24)):
        together = encoder.encode_texts([texts[row] for row in order])
        assert np.abs(together - alone[order]).max() < 1e-5
