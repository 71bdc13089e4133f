"""What the core needs from the world. Every implementation passes the same contract tests (tests/contracts).

Two exceptions cross these borders: ``ServerUnavailable`` means slow down and retry the same call; ``BadEvent`` means
dead-letter the event and go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from consumer.types import Batch, Changes, DeadLetter, Generation, Offsets, Slots, Vectors
from producer.events import Product


class Source(Protocol):
    """All partitions of one topic, from the beginning, in order within a partition."""

    def poll(self, max_records: int, timeout: float) -> Batch:
        """Wait up to ``timeout`` seconds for a first record, then take what is there. An empty batch is normal."""

    def commit(self, offsets: Offsets) -> None:
        """Make the offsets durable for the group: soon, at the latest by close(), and never before the call."""

    def committed(self) -> Offsets:
        """The group's offsets as they were at start: what lies before them was readable once already."""

    def caught_up(self) -> bool:
        """Whether everything that the topic held at start has been read."""

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        """Send to ``<topic>.dlq``, byte for byte; returns when the broker has all of them."""

    def lag(self) -> Offsets:
        """Events behind the end, by partition: high watermark - offset committed by the group."""

    def ping(self) -> None:
        """Raise ServerUnavailable when the brokers do not answer."""

    def close(self) -> None:
        """Leave cleanly."""


class Encoder(Protocol):
    """Turns products into normalised vectors. Whatever cannot be encoded raises EncoderFailed."""

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""

    @property
    def name(self) -> str:
        """Name of the model, as in its manifest."""

    @property
    def provider(self) -> str:
        """What computes it, such as CPUExecutionProvider."""

    def refusal(self, product: Product) -> str | None:
        """Why this product can never be encoded, or None."""

    def encode(self, products: Sequence[Product]) -> Vectors:
        """Encode [n] products to float32 [n, dim], L2-normalised. Must not depend on how they are batched."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Encode free text to float32 [n, dim]."""

    def encode_query(self, text: str | None, image: bytes | None) -> Vectors:
        """Encode what somebody searches for to float32 [1, dim]; at least one of text and image is given."""

    def revisit(self, now: float) -> Sequence[Product]:
        """Products whose image may be had now, as they were given to encode(): encode them again."""


class Index(Protocol):
    """Approximate or exact nearest neighbours by Euclidean distance over slots. One writer; no call may overlap another."""

    @property
    def exhaustive(self) -> bool:
        """Whether a search misses nothing, so that a search for everything is worth its price."""

    def __len__(self) -> int:
        """Number of live vectors."""

    def add(self, slots: Slots, vectors: Vectors) -> None:
        """Add vectors [n, dim] under slots [n] that are not in the index."""

    def remove(self, slots: Slots) -> None:
        """Take slots out; a slot that is not there is an error (KeyError)."""

    def rename(self, old: int, new: int) -> None:
        """Let slot ``new``, which is not in the index, stand for what ``old`` stood for; KeyError for an unknown one."""

    def maintain(self, moves: int) -> None:
        """Do a bounded piece of maintenance: work like that of adding so many vectors at most."""

    def search(self, vectors: Vectors, k: int) -> Slots:
        """Slots int32 [n, k] of the nearest, nearest first, padded with -1 when fewer are live."""


class Store(Protocol):
    """The lists and cards of one generation, as readers see them."""

    def open(self, generation: Generation) -> None:
        """Register the generation, or check that the one stored under its name was made with the same settings.

        Raises:
            KinstreamError: the stored generation has another model, dimension, metric or k.
        """

    def write(self, changes: Changes, now: float) -> None:
        """Write everything, each product's list atomically; ``now`` becomes the cards' ``seen_at``. Safe to repeat."""

    def ids(self) -> Iterator[str]:
        """Ids that have a list or a card in this generation; an id may come more than once."""

    def remove(self, ids: Iterable[str]) -> None:
        """Remove lists and cards."""

    def ready(self, products: int) -> None:
        """All lists are there. The first generation that is ready becomes live by itself."""

    def ping(self) -> None:
        """Raise ServerUnavailable when the server does not answer."""

    def close(self) -> None:
        """Close connections."""
