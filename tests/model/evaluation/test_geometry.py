"""Alignment and uniformity against the plain double loop."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from model.data.dataset import Dataset, Pair
from model.evaluation import geometry as module
from model.evaluation.bundles import BundleSpace
from model.evaluation.geometry import alignment, geometry, uniformity
from producer.events import Product


def units(number: int, dim: int = 4) -> np.ndarray:
    vectors = np.random.default_rng(5).normal(size=(number, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_uniformity_is_the_loop_over_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = units(11)
    monkeypatch.setattr(module, "BLOCK", 4)

    potentials = [math.exp(-2 * float(((a - b) ** 2).sum())) for a, b in combinations(vectors, 2)]

    assert uniformity(vectors) == pytest.approx(math.log(np.mean(potentials)), rel=1e-5)


def test_collapsed_vectors_have_uniformity_zero_and_spread_ones_less() -> None:
    assert uniformity(np.repeat(units(1), 5, axis=0)) == pytest.approx(0, abs=1e-6)
    assert uniformity(units(50)) < -1


def test_alignment_is_the_mean_squared_distance() -> None:
    left, right = np.eye(2, dtype=np.float32), np.array([[1, 0], [1, 0]], np.float32)

    assert alignment(left, right) == pytest.approx((0 + 2) / 2)
    assert alignment(left, right, alpha=1) == pytest.approx(math.sqrt(2) / 2)


def test_one_vector_has_no_uniformity() -> None:
    with pytest.raises(ValueError, match="1 vectors have no pairs"):
        uniformity(units(1))


def test_products_with_nothing_to_encode_are_left_out() -> None:
    products = {id: Product(id=id, title=id) for id in ("a", "b", "c", "d")}
    pairs = [Pair("a", "b", True, "test"), Pair("a", "d", True, "test"), Pair("a", "c", True, "train")]
    vectors = units(4)
    vectors[3] = 0

    found = geometry(Dataset("set", products, pairs), "test", BundleSpace({"a": 0, "b": 1, "c": 2, "d": 3}, vectors))

    assert found["alignment"] == pytest.approx(float(((vectors[0] - vectors[1]) ** 2).sum()), rel=1e-5)
    assert found["uniformity"] == pytest.approx(uniformity(vectors[:3]))


def test_matches_that_cannot_be_encoded_are_an_error() -> None:
    products = {id: Product(id=id, title=id) for id in ("a", "b")}
    space = BundleSpace({"a": 0, "b": 1}, np.array([[1, 0], [0, 0]], np.float32))

    with pytest.raises(ValueError, match="no match has a vector on both sides"):
        geometry(Dataset("set", products, [Pair("a", "b", True, "test")]), "test", space)
