"""The encoder that serves: ONNX Runtime and a tokenizer, no torch.

Encoding has three steps: prepare (products to token ids and pixels, in batches of like length), run (the ONNX graph, which
pools and normalises inside), and finish (check, and restore the order).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from model.bundle import ENCODER, TOKENIZER, BundleError, Manifest, digest_of, load_manifest
from model.images import pixels
from model.text import product_text
from producer.events import Product

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]

MAX_BATCH = 64
MAX_PADDED_TOKENS = 4096
"""Rows times padded length of one run: short texts run many at a time, long ones few."""
CHARACTERS_A_TOKEN = 64
"""Text beyond this many characters for each token that is kept is not tokenised: a megabyte would take half a second."""
TEXT_INPUTS = ("input_ids", "attention_mask")
IMAGE_INPUTS = ("pixel_values", "has_text", "has_image")
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class Example(msgspec.Struct, frozen=True):
    """One thing to encode: token ids, and an image where there is one."""

    ids: list[int]
    has_text: bool
    image: bytes | None = None


class OnnxEncoder:
    """Encodes products, texts and images with one bundle. Calls from several threads may overlap."""

    def __init__(self, manifest: Manifest, session: ort.InferenceSession, tokenizer: Tokenizer) -> None:
        self.dim = manifest.dim
        self.name = manifest.name
        self.digest = digest_of(manifest)
        self.provider = str(session.get_providers()[0])
        self.wants_images = manifest.image is not None
        self._manifest = manifest
        self._session = session
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path, device: str = "auto", threads: int = 0) -> OnnxEncoder:
        """Load and check a bundle.

        Args:
            folder: the bundle.
            device: ``cpu``, ``cuda``, or ``auto`` for CUDA where it works.
            threads: of the CPU, 0 for as many as there are cores.

        Raises:
            BundleError: the bundle is damaged or unsound, or the device cannot be had.
        """
        manifest = load_manifest(folder)
        try:
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
            session = _session(folder / ENCODER, device, threads)
        except BundleError:
            raise
        except Exception as error:  # both libraries raise bare exceptions of their own
            raise BundleError(f"{folder} cannot be loaded ({error}): export the bundle again") from error
        tokenizer.no_padding()
        tokenizer.enable_truncation(manifest.max_tokens)
        encoder = cls(manifest, session, tokenizer)
        encoder._probe(folder)
        return encoder

    def refusal(self, product: Product) -> str | None:
        """Why a product cannot be encoded, or None."""
        if product_text(product, self._manifest.text):
            return None
        if product.image and self.wants_images:
            return None
        kind = "text and images" if self.wants_images else "text"
        return f"title={product.title!r} of product {product.id!r} leaves nothing to encode: model {self.name} reads {kind}"

    def encode(self, products: Sequence[Product], images: Sequence[bytes | None] | None = None) -> Vectors:
        """Encode products [n], with their images [n] if the bundle reads any, to float32 [n, dim].

        Raises:
            ValueError: a product has neither text nor, if the bundle reads any, an image.
            ImageInvalid: an image cannot be read.
        """
        texts = [product_text(product, self._manifest.text) for product in products]
        given = [None] * len(texts) if images is None else images
        for product, text, image in zip(products, texts, given, strict=True):
            if not text and (image is None or not self.wants_images):
                raise ValueError(f"product {product.id!r} has nothing that model {self.name} reads: send a title")
        return self._encode(texts, given)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encode texts [n] to float32 [n, dim]."""
        return self._encode(texts, [None] * len(texts))

    def encode_query(self, text: str | None, image: bytes | None) -> Vectors:
        """Encode a text, an image or both to float32 [1, dim].

        Raises:
            ValueError: an image for a bundle that reads none.
        """
        if image is not None and not self.wants_images:
            raise ValueError(f"model {self.name} reads no images: search by text")
        return self._encode([text or ""], [image])

    def _encode(self, texts: Sequence[str], images: Sequence[bytes | None]) -> Vectors:
        vectors = np.empty((len(texts), self.dim), np.float32)
        examples = self._prepare(texts, images)
        for rows in _batches(examples):
            vectors[rows] = self._finish(self._run([examples[row] for row in rows]))
        return vectors

    def _prepare(self, texts: Sequence[str], images: Sequence[bytes | None]) -> list[Example]:
        longest = self._manifest.max_tokens * CHARACTERS_A_TOKEN
        encodings = self._tokenizer.encode_batch([text[:longest] for text in texts])
        return [
            Example(encoding.ids, bool(text), image)
            for encoding, text, image in zip(encodings, texts, images, strict=True)
        ]

    def _run(self, examples: Sequence[Example]) -> Vectors:
        """One run of the graph; token arrays are int64 [batch, longest]."""
        longest = max(len(example.ids) for example in examples)
        ids = np.zeros((len(examples), longest), np.int64)
        mask = np.zeros((len(examples), longest), np.int64)
        for row, example in enumerate(examples):
            ids[row, : len(example.ids)] = example.ids
            mask[row, : len(example.ids)] = 1
        feed: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        if self._manifest.image is not None:
            feed |= self._image_feed(examples)
        (vectors,) = self._session.run(["vector"], feed)
        return np.asarray(vectors, np.float32)

    def _image_feed(self, examples: Sequence[Example]) -> dict[str, NDArray[np.float32]]:
        """pixel_values float32 [batch, 3, h, w]; has_text and has_image float32 [batch, 1]."""
        spec = self._manifest.image
        assert spec is not None
        blank = np.zeros((3, spec.height, spec.width), np.float32)
        return {
            "pixel_values": np.stack([blank if e.image is None else pixels(e.image, spec) for e in examples]),
            "has_text": np.array([[e.has_text] for e in examples], np.float32),
            "has_image": np.array([[e.image is not None] for e in examples], np.float32),
        }

    def _finish(self, vectors: Vectors) -> Vectors:
        """Normalise again in case the graph computed in half precision; never let a broken vector out."""
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(norms).all() or (norms == 0).any():
            raise ArithmeticError(f"model {self.name} gave a vector that is zero or not finite")
        unit: Vectors = vectors / norms
        return unit

    def _probe(self, folder: Path) -> None:
        """Run once: what the graph takes and gives must be what the manifest says."""
        wanted = TEXT_INPUTS + (IMAGE_INPUTS if self.wants_images else ())
        taken = tuple(node.name for node in self._session.get_inputs())
        if set(taken) != set(wanted) or set(self._manifest.inputs) != set(wanted):
            raise BundleError(
                f"{folder}: the graph takes {taken}, the manifest says {self._manifest.inputs}; export it again"
            )
        given = [node.name for node in self._session.get_outputs()]
        if given != ["vector"]:
            raise BundleError(f"{folder}: the graph gives {given} where the contract has ['vector']; export it again")
        try:
            shape = self._run(self._prepare(["a probe", "and a longer one"], [None, None])).shape
        except Exception as error:  # the library's errors share no other base
            raise BundleError(f"{folder}: the graph does not run ({error}); export it again") from error
        if shape != (2, self.dim):
            raise BundleError(
                f"{folder}: the graph gives shape {shape}, the manifest's dim makes (2, {self.dim}); export it again"
            )


def _batches(examples: Sequence[Example]) -> Iterator[list[int]]:
    """Rows of like length together, so that short texts are not padded to the length of long ones."""
    batch: list[int] = []
    for row in sorted(range(len(examples)), key=lambda row: len(examples[row].ids)):
        if batch and (len(batch) == MAX_BATCH or (len(batch) + 1) * len(examples[row].ids) > MAX_PADDED_TOKENS):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _session(file: Path, device: str, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = ["cuda", "cpu"] if device == "auto" else [device]
    available = ort.get_available_providers()
    providers = [PROVIDERS[name] for name in wanted if PROVIDERS[name] in available]
    session = ort.InferenceSession(str(file), options, providers=providers or [PROVIDERS["cpu"]])
    active = session.get_providers()[0]
    if device == "cuda" and active != PROVIDERS["cuda"]:
        raise BundleError(
            f"KINSTREAM_DEVICE=cuda, but ONNX Runtime runs on {active}: install from requirements/gpu.txt on a machine "
            "with a CUDA driver, or set KINSTREAM_DEVICE=auto"
        )
    if device == "auto" and PROVIDERS["cuda"] in available and active != PROVIDERS["cuda"]:
        log.warning("CUDA is installed but does not work here; encoding on %s", active)
    return session
