"""The values that flow through the consumer, in the order of the flow. Imports nothing of ours but the product event.

They are msgspec structs, not dataclasses: one is made for every event, and a frozen dataclass costs ten times as much.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from producer.events import Product

Slots: TypeAlias = NDArray[np.int32]
"""Numbers of products, and in the graph those of sites, int32 [n]; -1 pads."""

Labels: TypeAlias = NDArray[np.int64]
"""What an index calls each slot, int64 [slots]; -1 for slots that are not in it."""

Arrays: TypeAlias = dict[str, NDArray[Any]]
"""Named arrays, from which a state can be made again."""

Vectors: TypeAlias = NDArray[np.float32]
"""Rows, float32 [n, dim]; of unit length unless the metric is euclidean."""

Offsets: TypeAlias = dict[tuple[str, int], int]
"""(topic, partition) -> the next offset to read, never the last one read."""

Outcome = Literal["embedded", "facts", "unchanged", "stale", "duplicate", "deleted", "dead_letter"]
State = Literal["building", "ready", "live", "retired"]
Metric = Literal["cosine", "euclidean"]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One Kafka record; ``timestamp`` is the broker's, in Unix seconds."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] | None = None


class Batch(msgspec.Struct, frozen=True):
    """Records in the order they were read, and the offsets that become committable once all of them are applied."""

    records: list[Record]
    offsets: Offsets


class TopicFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a topic is at this moment.

    Attributes:
        identity: differs between two topics that had the same name one after the other.
        low: the oldest offset that each partition still has.
        high: the offset that the next record of each partition will get.
        retention_seconds: how long a tombstone is kept at least.
    """

    identity: str
    low: Offsets
    high: Offsets
    retention_seconds: float


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that cannot be applied, and why."""

    record: Record
    reason: str
    message: str


class Upsert(msgspec.Struct, frozen=True):
    """What is left to do for one product after coalescing: ``embed`` says whether its content changed."""

    product: Product
    record: Record
    content: bytes
    facts: int
    version: int | None
    embed: bool


class Plan(msgspec.Struct, frozen=True):
    """A batch reduced to at most one action a product, and what became of its records.

    ``changing`` are the records that changed something: their age when they become readable is the freshness.
    """

    upserts: list[Upsert]
    deletions: list[str]
    letters: list[DeadLetter]
    outcomes: Counter[Outcome]
    changing: list[Record]


class ListWrite(msgspec.Struct, frozen=True):
    """A product's whole list, best first: (neighbour id, score)."""

    id: str
    neighbours: list[tuple[str, float]]


class CardWrite(msgspec.Struct, frozen=True):
    """A product's whole card, and what of it is new.

    ``gone``: a field of the card before it is no longer there. ``facts_only``: what is content is as it was before.
    """

    id: str
    fields: dict[str, str]
    gone: bool = False
    facts_only: bool = False


class Changes(msgspec.Struct, frozen=True):
    """Everything that readers must see before the offsets of a batch may be committed; ``products`` is their number."""

    lists: list[ListWrite]
    cards: list[CardWrite]
    removed: list[str]
    products: int


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """The ``meta`` hash of a generation: one complete set of lists built with one model and one index configuration."""

    name: str
    model: str
    dim: int
    k: int
    metric: Metric = "cosine"
    products: int = 0
    state: State = "building"
    created_at: float = 0.0


FIXED = ("model", "dim", "metric", "k")
"""What a generation is built with: under one name these never change."""


class Export(msgspec.Struct, frozen=True):
    """The exported catalogue: ids [n], vectors float32 [n, dim], available bool [n], and what made it."""

    generation: Generation
    ids: list[str]
    vectors: Vectors
    available: NDArray[np.bool_]
