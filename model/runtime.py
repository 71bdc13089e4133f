"""The encoder: products in, vectors out, through ONNX Runtime. Three steps: prepare, run, pool."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model.bundle import Bundle, load_bundle
from model.errors import BundleError, EncodeError, ImageInvalid
from model.images import image_pixels
from model.manifest import ImageSpec
from model.runs import Ids, by_length, padded
from model.session import Device, active_provider, open_session
from model.text import free_text, product_text
from model.tokenizer import Tokenizer
from producer.events import Product

Vectors = NDArray[np.float32]
Feeds = dict[str, NDArray[np.int64] | NDArray[np.float32]]

MAX_ROWS = 32
MAX_PADDED_TOKENS = 2048
OUTPUT = "vector"


class OnnxEncoder:
    """A loaded model bundle. Calls from several threads at once are safe: nothing in it changes."""

    def __init__(self, bundle: Bundle, session: onnxruntime.InferenceSession) -> None:
        self._manifest = bundle.manifest
        self._session = session
        self._tokenizer = Tokenizer(bundle.tokenizer, bundle.manifest.max_tokens)
        self.dim = self._manifest.dim
        self.name = self._manifest.name
        self.inputs = self._manifest.inputs
        self.wants_images = self._manifest.wants_images
        self.provider = active_provider(session)

    @classmethod
    def load(cls, folder: Path, device: Device = "auto", threads: int = 0) -> OnnxEncoder:
        """Load a bundle and try it once; ``threads`` 0 means every core that this process may use.

        Raises:
            BundleError: damaged, or the model's inputs or output are not what the manifest says.
            DeviceUnavailable: ``device`` is cuda and the model does not run there.
        """
        bundle = load_bundle(folder)
        session = open_session(bundle.encoder, device, threads)
        _check_names(bundle, session)
        encoder = cls(bundle, session)
        encoder._probe(bundle.encoder)
        return encoder

    def refusal(self, product: Product) -> str | None:
        """Why this product can never be encoded, or None."""
        if product_text(product, self._manifest.text) or (self.wants_images and product.image):
            return None
        wanted = "a title, an image or an embedding" if self.wants_images else "a title or an embedding"
        return f"product {product.id!r} has nothing that model {self.name} reads: send {wanted}"

    def encode(self, products: Sequence[Product], images: Sequence[bytes | None] | None = None) -> Vectors:
        """Encode [n] products, with the bytes of their images where there are any, to float32 [n, dim], L2-normalised.

        Raises:
            EncodeError: a product has neither text nor image, or the model failed.
            ImageInvalid: an image cannot be read; its ``row`` says which.
        """
        texts = [product_text(product, self._manifest.text) for product in products]
        given = [None] * len(products) if images is None else list(images)
        for product, text, image in zip(products, texts, given, strict=True):
            self._check_given(product, text, image)
        return self._encode(texts, given)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encode [n] free texts to float32 [n, dim], L2-normalised.

        Raises:
            EncodeError: the model failed.
        """
        return self._encode([free_text(text, self._manifest.text) for text in texts], [None] * len(texts))

    def _check_given(self, product: Product, text: str, image: bytes | None) -> None:
        if image is not None and not self.wants_images:
            raise EncodeError(f"model {self.name} reads no images: encode {product.id!r} without, or use another model")
        if not text and image is None:
            raise EncodeError(
                f"product {product.id!r} has neither text nor an image at hand for model {self.name}: send a title"
            )

    def _encode(self, texts: Sequence[str], images: Sequence[bytes | None]) -> Vectors:
        tokens = self._tokenizer.encode(texts)
        vectors = np.empty((len(texts), self.dim), np.float32)
        for rows in by_length([len(ids) for ids in tokens], MAX_ROWS, MAX_PADDED_TOKENS):
            vectors[rows] = self._pool(self._run(self._prepare(rows, texts, tokens, images)), len(rows))
        return vectors

    def _prepare(
        self, rows: Ids, texts: Sequence[str], tokens: Sequence[Sequence[int]], images: Sequence[bytes | None]
    ) -> Feeds:
        """The model's inputs for some of the rows, padded to the longest of them."""
        ids, mask = padded([tokens[row] for row in rows])
        feeds: Feeds = {"input_ids": ids, "attention_mask": mask}
        if self._manifest.image is not None:
            feeds["pixel_values"] = _pixels(rows, images, self._manifest.image)
            feeds["has_text"] = np.array([[bool(texts[row])] for row in rows], np.float32)
            feeds["has_image"] = np.array([[images[row] is not None] for row in rows], np.float32)
        return feeds

    def _run(self, feeds: Feeds) -> Vectors:
        try:
            output: Vectors = self._session.run([OUTPUT], feeds)[0]
        except Exception as error:  # the library's errors share no other base
            shapes = {name: array.shape for name, array in feeds.items()}
            raise EncodeError(f"model {self.name} failed on {shapes}: {error}") from error
        return output

    def _pool(self, output: Vectors, rows: int) -> Vectors:
        """Check the model's output [rows, dim] and normalise it."""
        if output.shape != (rows, self.dim):
            raise EncodeError(f"model {self.name} gave shape {output.shape}, expected {(rows, self.dim)}")
        norms = np.linalg.norm(output, axis=1, keepdims=True)
        if not np.all(np.isfinite(norms) & (norms > 0)):
            raise EncodeError(f"model {self.name} gave a vector that is zero or not finite: is the bundle sound?")
        return np.divide(output, norms, dtype=np.float32)

    def _probe(self, path: Path) -> None:
        """Run two texts of different length together, which shows the output's shape and fixed axes."""
        try:
            self._encode(["probe", "a somewhat longer probe"], [None, None])
        except EncodeError as error:
            raise BundleError(
                f"{path} does not do what its manifest (dim {self.dim}) says: {error}: export the model again"
            ) from error


def _check_names(bundle: Bundle, session: onnxruntime.InferenceSession) -> None:
    inputs = sorted(node.name for node in session.get_inputs())
    outputs = [node.name for node in session.get_outputs()]
    if inputs != sorted(bundle.manifest.inputs) or outputs != [OUTPUT]:
        raise BundleError(
            f"{bundle.encoder} has inputs {inputs} and outputs {outputs}, its manifest says inputs "
            f"{sorted(bundle.manifest.inputs)} and the output is {OUTPUT!r}: export the model again"
        )


def _pixels(rows: Ids, images: Sequence[bytes | None], spec: ImageSpec) -> NDArray[np.float32]:
    """float32 [rows, 3, height, width], zeros where there is no image."""
    pixels = np.zeros((len(rows), 3, spec.height, spec.width), np.float32)
    for place, row in enumerate(rows.tolist()):
        data = images[row]
        if data is not None:
            try:
                pixels[place] = image_pixels(data, spec)
            except ImageInvalid as error:
                raise ImageInvalid(str(error), row) from error
    return pixels
