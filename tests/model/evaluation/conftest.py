"""Small sources whose right answers are plain, and an encoder that counts words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from model.bundle import TextSpec
from model.data.dataset import Dataset, Pair
from model.evaluation.ranking import Scorer, Vectors
from model.text import product_text
from producer.events import Product

TITLES = {
    "A0": "red shoe 42",
    "A1": "blue shoe 43",
    "A2": "garden hose 20m",
    "A3": "desk lamp",
    "B0": "red shoe size 42",
    "B1": "blue shoe size 43",
    "B2": "garden hose green 20m",
    "B3": "lamp for a desk",
    "B4": "garden hose 30m",
}
PAIRS = [
    ("A3", "B3", True, "train"),
    ("A0", "B1", False, "valid"),
    ("A0", "B0", True, "valid"),
    ("A1", "B1", True, "test"),
    ("A2", "B2", True, "test"),
    ("A2", "B4", True, "test"),
    ("A3", "B0", False, "test"),
    ("A1", "B0", False, "test"),
]


class CountingEncoder:
    """Words hashed to a few dimensions; the first byte of an image, where it reads images, is one more word."""

    def __init__(self, wants_images: bool = False, dim: int = 32) -> None:
        self.wants_images = wants_images
        self.encoded: list[str] = []
        self._dim = dim

    def encode(self, products: Sequence[Product], images: Sequence[bytes | None] | None = None) -> Vectors:
        self.encoded += [product.id for product in products]
        vectors = np.zeros((len(products), self._dim), np.float32)
        for row, product in enumerate(products):
            for word in product_text(product, TextSpec()).split():
                vectors[row, sum(map(ord, word)) % (self._dim - 2)] += 1
            if images is not None and (image := images[row]) is not None:
                vectors[row, self._dim - 2 + image[0] % 2] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class FixedSpace:
    """Gives the scores that it was made with, whatever is asked."""

    def __init__(self, scores: Sequence[Sequence[float]]) -> None:
        self._scores = np.array(scores, np.float32)

    def scorer(self, queries: Sequence[str], candidates: Sequence[str]) -> Scorer:
        assert self._scores.shape == (len(queries), len(candidates))
        return lambda rows: self._scores[rows]


@pytest.fixture
def shop() -> Dataset:
    """Two tables; the products of side A search those of side B."""
    products = {id: Product(id=id, title=title) for id, title in TITLES.items()}
    pairs = [Pair(*fields) for fields in PAIRS]
    return Dataset("shop", products, pairs, sides={id: id[0] for id in TITLES})


@pytest.fixture
def catalogue() -> Dataset:
    """One catalogue, p0 to p5: p0, p1, p2 are one product and p3, p4 another; test knows only some of the pairs."""
    products = {f"p{at}": Product(id=f"p{at}", title=f"title {at}") for at in range(6)}
    pairs = [
        Pair("p0", "p1", True, "test"),
        Pair("p0", "p2", True, "train"),
        Pair("p3", "p4", True, "test"),
        Pair("p3", "p5", False, "test"),
    ]
    clusters = {"p0": "c0", "p1": "c0", "p2": "c0", "p3": "c1", "p4": "c1"}
    return Dataset("catalogue", products, pairs, clusters, language="xx")


@pytest.fixture
def pictures() -> Dataset:
    """Products of which the title tells nothing and the image the colour; q5 has no image."""
    colours = ["red", "red", "blue", "blue", "red", "blue"]
    products = {
        f"q{at}": Product(
            id=f"q{at}",
            title="plain shirt",
            category="Shirts",
            image=None if at == 5 else f"{colour}.jpg",
            attributes={"colour": colour},
        )
        for at, colour in enumerate(colours)
    }
    return Dataset("pictures", products)


@pytest.fixture
def fixed_space() -> type[FixedSpace]:
    return FixedSpace


@pytest.fixture
def counting_encoder() -> type[CountingEncoder]:
    return CountingEncoder
