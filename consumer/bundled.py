"""The encoder of a model bundle, under the consumer's port, with the products' images where the model reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from consumer.errors import EncoderFailed
from consumer.https import ImageUnavailable
from consumer.images import ImageLoader, ImagePending
from consumer.types import Vectors
from consumer.waiting import WaitingList
from model.bundle import ImageSpec
from model.images import ImageInvalid, pixels
from model.runtime import OnnxEncoder
from producer.events import Product

WAIT_SECONDS = 2.0
"""How long a batch waits for the images of products that have nothing else."""
WINDOW = 128
"""Products whose images are fetched at a time; those behind them wait for their turn."""
OFFER = 64
OFFER_BYTES = 64 * 1024 * 1024
"""The most that one revisit offers: other products must not wait long behind it."""
SMALLEST = ImageSpec(height=1, width=1, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

Found: TypeAlias = bytes | ImagePending | ImageUnavailable
Needy: TypeAlias = list[tuple[str, str]]
"""(id, image) of products that have nothing but their image."""


class BundledEncoder:
    """Tells the failures of the runtime, whatever they are, as EncoderFailed.

    A product whose image is not there is encoded from what else it has, and offered again by revisit() once it is.
    """

    def __init__(self, encoder: OnnxEncoder, images: ImageLoader | None = None) -> None:
        self.dim = encoder.dim
        self.name = encoder.name
        self.digest = encoder.digest
        self.provider = encoder.provider
        self._encoder = encoder
        self._images = images if encoder.wants_images else None
        self._waiting = WaitingList()
        self._held: dict[str, bytes] = {}
        """The images of the products that were offered last, until the next revisit."""
        self._condemned: dict[tuple[str, str | None], str] = {}
        """Why products of a failing batch cannot be encoded, until each of them was told so alone."""

    @classmethod
    def load(cls, folder: Path, device: str, images: ImageLoader | None = None) -> BundledEncoder:
        """Load a bundle; without ``images`` it reads texts, and images in questions only.

        Raises:
            BundleError: the bundle is damaged or unsound, or the device cannot be had.
        """
        return cls(OnnxEncoder.load(folder, device), images)

    def refusal(self, product: Product) -> str | None:
        """Why this product can never be encoded, or None."""
        return self._encoder.refusal(product)

    def encode(self, products: Sequence[Product]) -> Vectors:
        """Encode products [n] to float32 [n, dim]."""
        images = self._images
        if images is None:
            return self._told(lambda: self._encoder.encode(products))
        return self._told(lambda: self._illustrated(products, images))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encode texts [n] to float32 [n, dim]."""
        return self._told(lambda: self._encoder.encode_texts(texts))

    def encode_query(self, text: str | None, image: bytes | None) -> Vectors:
        """Encode a question to float32 [1, dim]."""
        return self._told(lambda: self._encoder.encode_query(text, image))

    def revisit(self, now: float) -> Sequence[Product]:
        """Products whose image is there now; encode them before the next revisit. ``now`` in seconds."""
        self._held.clear()
        self._waiting.turn(now)
        return [] if self._images is None else self._offered(self._images)

    def waiting(self) -> Sequence[Product]:
        """Products whose image is still waited for."""
        return self._waiting.products()

    def wait_for(self, products: Sequence[Product]) -> None:
        """Try the images of these products again."""
        if self._images is not None:
            for product in products:
                self._waiting.note(product, ImagePending(product.image))

    def _offered(self, images: ImageLoader) -> list[Product]:
        offered: list[Product] = []
        size = 0
        for product in self._waiting.head(WINDOW):
            uri = str(product.image)
            found = self._look(images, uri)
            if isinstance(found, bytes):
                size += 0 if uri in self._held else len(found)
                self._held[uri] = found
                self._waiting.offer(product)
                offered.append(product)
            elif isinstance(found, ImageUnavailable):
                self._waiting.note(product, found)
            if len(offered) == OFFER or size >= OFFER_BYTES:
                break
        return offered

    def _illustrated(self, products: Sequence[Product], images: ImageLoader) -> Vectors:
        self._raise_condemned(products)
        needy = [(product.id, product.image) for product in products if product.image and self._is_bare(product)]
        found = self._needed(needy, images)
        self._condemn(products, needy, found)
        for product in products:
            if product.image and product.image not in found:
                found[product.image] = self._look(images, product.image, len(self._waiting) < WINDOW)
        vectors = self._encoded(products, needy, found, images)
        for product in products:
            self._waiting.note(product, found.get(product.image) if product.image else None)
        return vectors

    def _is_bare(self, product: Product) -> bool:
        """Whether the model reads nothing of it but its image."""
        return self._encoder.refusal(msgspec.structs.replace(product, image=None)) is not None

    def _needed(self, needy: Needy, images: ImageLoader) -> dict[str, Found]:
        """The images of those that have nothing else, worth a short wait."""
        found = {uri: self._look(images, uri) for _, uri in needy}
        pending = [uri for uri, what in found.items() if isinstance(what, ImagePending)]
        if pending:
            images.wait(pending, WAIT_SECONDS)
            found |= {uri: self._look(images, uri) for uri in pending}
        return found

    def _encoded(
        self, products: Sequence[Product], needy: Needy, found: dict[str, Found], images: ImageLoader
    ) -> Vectors:
        """Encode with what was found; what proves to be no image is left out, in ``found`` too."""
        try:
            return self._encoder.encode(products, _bytes(products, found))
        except ImageInvalid:
            for uri, data in found.items():
                fault = _fault(data) if isinstance(data, bytes) else None
                if fault is not None:
                    found[uri] = images.invalid(uri, fault)
        self._condemn(products, needy, found)
        return self._encoder.encode(products, _bytes(products, found))

    def _look(self, images: ImageLoader, uri: str, start: bool = True) -> Found:
        held = self._held.get(uri)
        if held is not None:
            return held
        try:
            return images.get(uri, start)
        except (ImagePending, ImageUnavailable) as absent:
            return absent

    def _condemn(self, products: Sequence[Product], needy: Needy, found: dict[str, Found]) -> None:
        for id, uri in needy:
            why = found[uri]
            if not isinstance(why, bytes):
                self._condemned[id, uri] = (
                    f"image of product {id!r} cannot be had ({why}) and model {self.name} reads nothing else of "
                    "it: send a title, or send it again when the image is there"
                )
        self._raise_condemned(products)

    def _raise_condemned(self, products: Sequence[Product]) -> None:
        """A failing batch is encoded again in ever smaller parts: no image is asked for twice on the way."""
        for product in products:
            reason = self._condemned.get((product.id, product.image))
            if reason is not None:
                if len(products) == 1:
                    del self._condemned[product.id, product.image]
                raise EncoderFailed(reason)

    def _told(self, encode: Callable[[], Vectors]) -> Vectors:
        try:
            return encode()
        except EncoderFailed:
            raise
        except Exception as error:  # ONNX Runtime raises bare exceptions of many kinds
            raise EncoderFailed(f"model {self.name} on {self.provider} failed: {error}") from error


def _bytes(products: Iterable[Product], found: dict[str, Found]) -> list[bytes | None]:
    images = [found.get(product.image) if product.image else None for product in products]
    return [image if isinstance(image, bytes) else None for image in images]


def _fault(data: bytes) -> str | None:
    """Why bytes are no image, or None."""
    try:
        pixels(data, SMALLEST)
    except ImageInvalid as error:
        return str(error)
    return None
