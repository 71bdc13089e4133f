"""The encoder of a model bundle, under the consumer's port."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from consumer.errors import EncoderFailed
from consumer.types import Vectors
from model.runtime import OnnxEncoder
from producer.events import Product


class BundledEncoder:
    """Tells the failures of the runtime, whatever they are, as EncoderFailed."""

    def __init__(self, encoder: OnnxEncoder) -> None:
        self.dim = encoder.dim
        self.name = encoder.name
        self.provider = encoder.provider
        self._encoder = encoder

    @classmethod
    def load(cls, folder: Path, device: str) -> BundledEncoder:
        """Load a bundle.

        Raises:
            BundleError: the bundle is damaged or unsound, or the device cannot be had.
        """
        return cls(OnnxEncoder.load(folder, device))

    def refusal(self, product: Product) -> str | None:
        """Why this product can never be encoded, or None."""
        return self._encoder.refusal(product)

    def encode(self, products: Sequence[Product]) -> Vectors:
        """Encode products [n] to float32 [n, dim]."""
        return self._told(lambda: self._encoder.encode(products))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encode texts [n] to float32 [n, dim]."""
        return self._told(lambda: self._encoder.encode_texts(texts))

    def encode_query(self, text: str | None, image: bytes | None) -> Vectors:
        """Encode a question to float32 [1, dim]."""
        return self._told(lambda: self._encoder.encode_query(text, image))

    def _told(self, encode: Callable[[], Vectors]) -> Vectors:
        try:
            return encode()
        except Exception as error:  # ONNX Runtime raises bare exceptions of many kinds
            raise EncoderFailed(f"model {self.name} on {self.provider} failed: {error}") from error
