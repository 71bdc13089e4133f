"""An encoder as a system: a model bundle, or a model in training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from model.bundle import TextSpec
from model.evaluation.ranking import Modality, Scorer, System, Vectors
from model.runtime import OnnxEncoder
from model.text import product_text
from producer.events import Product
from producer.progress import Shown, silent

BLOCK = 1024
"""Products that are encoded between two looks at how far it is."""

ReadImage = Callable[[str], bytes]
"""The bytes of the image that a product names."""


class Encoder(Protocol):
    """What encodes products: a bundle's runtime, or a model in training."""

    @property
    def wants_images(self) -> bool:
        """Whether it reads images."""

    def encode(self, products: Sequence[Product], images: Sequence[bytes | None] | None = None) -> Vectors:
        """Unit vectors float32 [n, dim]."""


class BundleRanker:
    """Cosine of the vectors of an encoder; ``shown`` is told how many products are encoded."""

    def __init__(self, encoder: Encoder, read_image: ReadImage | None = None, shown: Shown = silent) -> None:
        self.modalities: frozenset[Modality] = frozenset(
            ("text", "image", "both") if encoder.wants_images else ("text",)
        )
        self._encoder = encoder
        self._read_image = read_image
        self._shown = shown

    def over(self, products: Sequence[Product]) -> BundleSpace:
        """Encode each product; one that has nothing to encode gets zeros, so similarity 0 to all.

        Raises:
            ValueError: none has anything to encode.
        """
        filled = [at for at, product in enumerate(products) if self._says_something(product)]
        if not filled:
            raise ValueError(f"{len(products)} products have nothing that the encoder reads: send titles or images")
        encoded = self._encode([products[at] for at in filled])
        vectors = np.zeros((len(products), encoded.shape[1]), np.float32)
        vectors[filled] = encoded
        return BundleSpace({product.id: at for at, product in enumerate(products)}, vectors)

    def _encode(self, products: Sequence[Product]) -> Vectors:
        parts = []
        for start in range(0, len(products), BLOCK):
            self._shown(start, len(products))
            parts.append(self._block(products[start : start + BLOCK]))
        self._shown(len(products), len(products))
        return np.concatenate(parts)

    def _block(self, products: Sequence[Product]) -> Vectors:
        if not self._encoder.wants_images:
            return self._encoder.encode(products)
        return self._encoder.encode(products, [self._image(product) for product in products])

    def _image(self, product: Product) -> bytes | None:
        return self._read_image(product.image) if product.image and self._read_image else None

    def _says_something(self, product: Product) -> bool:
        seen = self._encoder.wants_images and self._read_image is not None and product.image
        return bool(seen or product_text(product, TextSpec()))


class BundleSpace:
    """Vectors float32 [products, dim]."""

    def __init__(self, position: Mapping[str, int], vectors: Vectors) -> None:
        self._position = position
        self._vectors = vectors

    def scorer(self, queries: Sequence[str], candidates: Sequence[str]) -> Scorer:
        """Cosine similarity."""
        left, right = self.vectors(queries), self.vectors(candidates).T
        return lambda rows: left[rows] @ right

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Unit vectors float32 [n, dim], zeros where there was nothing to encode."""
        return self._vectors[[self._position[id] for id in ids]]


def bundle_system(
    folder: Path, name: str | None = None, read_image: ReadImage | None = None, *, baseline: bool = False
) -> System:
    """Any model bundle, under its own name unless one is given.

    Raises:
        BundleError: the bundle is damaged or unsound.
    """
    encoder = OnnxEncoder.load(folder)
    return System(name or encoder.name, BundleRanker(encoder, read_image), baseline)
