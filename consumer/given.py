"""The encoder of a generation without a model: every event brings its own vector."""

from __future__ import annotations

from collections.abc import Sequence

from consumer.errors import EncoderFailed
from consumer.types import Vectors
from producer.events import Product

REMEDY = "send embedding, or set KINSTREAM_MODEL to the folder of a model bundle"


class GivenVectors:
    """Encodes nothing."""

    name = "none"
    digest = "none"
    provider = "none"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def refusal(self, product: Product) -> str | None:
        """A product without a vector is refused."""
        return f"product {product.id!r} has no embedding and there is no model: {REMEDY}"

    def encode(self, products: Sequence[Product]) -> Vectors:
        """Never possible; refusal() keeps products away from here."""
        raise EncoderFailed(f"there is no model to encode {len(products)} products with: {REMEDY}")

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Never possible."""
        raise EncoderFailed(f"there is no model to encode {len(texts)} texts with: set KINSTREAM_MODEL")

    def encode_query(self, text: str | None, image: bytes | None) -> Vectors:
        """Never possible."""
        raise EncoderFailed("there is no model to search with: set KINSTREAM_MODEL to the folder of a model bundle")

    def revisit(self, now: float) -> Sequence[Product]:
        """No image is ever read."""
        return ()

    def waiting(self) -> Sequence[Product]:
        """No image is ever waited for."""
        return ()

    def wait_for(self, products: Sequence[Product]) -> None:
        """Nothing to wait for."""
