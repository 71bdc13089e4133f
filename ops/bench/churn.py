"""Vectors and events to measure with: uneven clusters, and a catalogue that changes; the same for the same seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CENTRES = 200
UNEVENNESS = 0.5
"""Parameter of the Dirichlet distribution of the clusters' shares: the smaller, the more uneven."""
SPREADS = (0.05, 0.9)
"""Least and most spread of a cluster, relative to the length of its centre."""
INNER_DIMENSIONS = 24
ISOTROPIC = 0.15
"""Noise in all dimensions, relative to the noise in the inner ones."""
BLOCK = 32_768
RESTING = 1024
"""A freed slot is used again when so many wait for it, so that hardly a batch frees and fills the same one."""

Slots = NDArray[np.int32]
Vectors = NDArray[np.float32]


def uneven_clusters(n: int, dim: int, seed: int) -> Vectors:
    """Unit vectors float32 [n, dim] as those of product texts lie: few large clusters and many small ones, tight and wide.

    Inside a cluster most of the variation is in a few dimensions.
    """
    random = np.random.default_rng(seed)
    centres = random.standard_normal((CENTRES, dim), np.float32)
    shares = random.dirichlet(np.full(CENTRES, UNEVENNESS))
    spreads = random.uniform(*SPREADS, CENTRES).astype(np.float32)
    inner = min(INNER_DIMENSIONS, dim)
    basis = random.standard_normal((inner, dim), np.float32) / np.float32(np.sqrt(inner))
    vectors = np.empty((n, dim), np.float32)
    for start in range(0, n, BLOCK):
        block = vectors[start : start + BLOCK]
        cluster = random.choice(CENTRES, len(block), p=shares)
        noise = random.standard_normal((len(block), inner), np.float32) @ basis
        noise += np.float32(ISOTROPIC) * random.standard_normal((len(block), dim), np.float32)
        block[:] = centres[cluster] + spreads[cluster, None] * noise
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


@dataclass(frozen=True, slots=True)
class Events:
    """Single events in order: the slot that changes, the row of its new vector or -1 when it goes, and whether it comes."""

    slots: Slots
    rows: NDArray[np.int64]
    new: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.slots)

    def __getitem__(self, part: slice) -> Events:
        return Events(self.slots[part], self.rows[part], self.new[part])


@dataclass(frozen=True, slots=True)
class Change:
    """A batch reduced to one action a slot, as the service reduces it: what is gone, what has which new vector."""

    gone: Slots
    placed: Slots
    rows: NDArray[np.int64]
    events: int


class Catalogue:
    """Which slots live while products come, change and go; each new vector is the next row of a pool."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._live: list[int] = []
        self._free: deque[int] = deque()
        self.slots = 0
        self.rows = 0

    @property
    def live(self) -> Slots:
        """The slots that live [n], in no order."""
        return np.array(self._live, np.int32)

    def arrive(self, products: int) -> Events:
        """So many new products."""
        return self._events(np.zeros(products, np.int64))

    def churn(self, events: int) -> Events:
        """Half of the events are updates, a quarter deletes, a quarter inserts, in random order."""
        return self._events(self._random.choice(np.array([0, 1, 2, 2]), events))

    def update(self, events: int) -> Events:
        """So many products, drawn anew each time, get new vectors."""
        return self._events(np.full(events, 2, np.int64))

    def _events(self, kinds: NDArray[np.int64]) -> Events:
        drawn = self._random.random(len(kinds)).tolist()
        slots = np.array([self._one(kind, at) for kind, at in zip(kinds.tolist(), drawn, strict=True)], np.int32)
        placing = kinds != 1
        rows = np.where(placing, self.rows - 1 + np.cumsum(placing), -1)
        self.rows += int(placing.sum())
        return Events(slots, rows, kinds == 0)

    def _one(self, kind: int, at: float) -> int:
        """Kinds: 0 insert, 1 delete, 2 update; ``at`` in 0 to 1 draws one of the living."""
        if kind == 0:
            self._live.append(self._new_slot())
            return self._live[-1]
        drawn = int(at * len(self._live))
        slot = self._live[drawn]
        if kind == 1:
            self._live[drawn] = self._live[-1]
            self._live.pop()
            self._free.append(slot)
        return slot

    def _new_slot(self) -> int:
        if len(self._free) > RESTING:
            return self._free.popleft()
        self.slots += 1
        return self.slots - 1


def churn(n: int, events: int, seed: int) -> Events:
    """Events on n products that arrived before them in slots and rows 0 to n - 1."""
    catalogue = Catalogue(seed)
    catalogue.arrive(n)
    return catalogue.churn(events)


def batches(events: Events, size: int) -> Iterator[Change]:
    """The events in batches; in each, only the last event of a slot counts, and none when it came and went."""
    for start in range(0, len(events), size):
        part = events[start : start + size]
        slots, first = np.unique(part.slots, return_index=True)
        _, last = np.unique(part.slots[::-1], return_index=True)
        rows = part.rows[len(part) - 1 - last]
        gone, placed = (rows < 0) & ~part.new[first], rows >= 0
        yield Change(slots[gone], slots[placed], rows[placed], len(part))
