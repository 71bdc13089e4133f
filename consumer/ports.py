"""What the core needs from the world. Every implementation passes the same contract tests (tests/contracts).

Four exceptions cross these borders: ``ServerUnavailable`` means slow down and retry the same call; ``BadEvent`` means
dead-letter the event and go on; ``Fenced`` means stop writing, another leads; ``StoreLost`` means take a new term and publish
everything again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from consumer.types import Batch, Changes, DeadLetter, Generation, Labels, Offsets, Slots, TopicFacts, Vectors
from producer.events import Product


class Source(Protocol):
    """All partitions of one topic, in order within a partition."""

    def topic(self) -> TopicFacts:
        """What the topic is at this moment."""

    def begin(self, offsets: Offsets) -> None:
        """Read on from these offsets, partitions that are not named from their beginning; before the first poll."""

    def poll(self, max_records: int, timeout: float) -> Batch:
        """Wait up to ``timeout`` seconds for a first record, then take what is there. An empty batch is normal.

        Raises:
            TopicRecreated: the topic is no longer the one whose offsets are being read.
        """

    def commit(self, offsets: Offsets) -> None:
        """Make the offsets durable for the group: soon, at the latest by close(), and never before the call."""

    def committed(self) -> Offsets:
        """The group's offsets, whoever committed them: what lies before them was readable once already."""

    def caught_up(self) -> bool:
        """Whether everything that the topic held at the beginning has been read."""

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
    def digest(self) -> str:
        """Identity of the weights: vectors of two different digests must not be compared."""

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

    def waiting(self) -> Sequence[Product]:
        """Products whose image is still waited for."""

    def wait_for(self, products: Sequence[Product]) -> None:
        """Wait for the images of products that were encoded without them before a restart."""


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

    @property
    def parameters(self) -> dict[str, int]:
        """What it was made with, to be noted beside what save() wrote."""

    def save(self, file: Path) -> Labels:
        """Write what would take long to be made again into a file, or nothing; returns the label of each slot.

        Raises:
            OSError: the file could not be written as a whole.
        """

    def load(self, file: Path, labels: Labels, vectors: Vectors) -> None:
        """Take over, while empty, what save() wrote and returned; row s of vectors [rows, dim] is that of slot s."""


class Store(Protocol):
    """The lists and cards of one generation, as readers see them.

    Whoever writes leads under a *term*: a number that grows with each leader and each loss. ``lead`` may be called in a
    thread of its own and ``ping`` in any; all else belongs to one thread.
    """

    def open(self, generation: Generation) -> None:
        """Register the generation, or check that the one stored under its name was made with the same settings.

        Raises:
            KinstreamError: the stored generation has another model, dimension, metric or k.
        """

    def lead(self, instance: str, known: int) -> int:
        """Take the lead or keep it for ``leadership.LEASE_SECONDS``: the term, 0 while another instance leads.

        ``known`` is the term under which this instance believes to lead, or 0; any other than the stored one gets a new
        term. Once a new term is returned, no write of an older one can land.
        """

    def resign(self, instance: str, term: int) -> None:
        """Let another instance lead at once."""

    def begin(self, term: int) -> None:
        """The first thing under a new term: what the store holds now is taken for the start. Publish everything then.

        Raises:
            Fenced, StoreLost: the term is not the last one.
        """

    def write(self, changes: Changes, now: float, term: int) -> None:
        """Write everything, each product's list atomically; ``now`` becomes the cards' ``seen_at``. Safe to repeat.

        Raises:
            Fenced: another instance was given a later term. What was not written yet is not written.
            StoreLost: the store no longer has what was written under this term.
        """

    def check(self, term: int) -> None:
        """Whether the store still has the last write; for idle moments, about once a second.

        Raises:
            Fenced, StoreLost: as by ``write``.
        """

    def ids(self) -> Iterator[str]:
        """Ids that have a list or a card in this generation; an id may come more than once."""

    def remove(self, ids: Iterable[str], term: int) -> None:
        """Remove lists and cards; raises as ``write`` does."""

    def ready(self, products: int, term: int, *, claim: bool) -> None:
        """All lists are there; raises as ``write`` does.

        ``claim`` lets the generation become live when none is: not for one that was not live before a loss.
        """

    def was_live(self) -> bool | None:
        """Whether this generation was live when a live one was last seen (by open, lead or ready); None: never seen."""

    def ping(self) -> None:
        """Raise ServerUnavailable when the server does not answer."""

    def close(self) -> None:
        """Close connections."""
