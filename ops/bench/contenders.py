"""The engine and those it is measured against, behind one interface.

* ``engine``: kinstream's neighbour graph over its own index.
* ``hnswlib``: the index alone, which keeps no lists; the yardstick.
* ``own-list-only``: writes the list of the product that changed, and no other.
* ``probe-160``: offers a product to its 160 nearest instead of to those who list its hits.
* ``rounds``: searches all lists anew every so many events.
* ``faiss-flat``: compares with every product; own lists by faiss, and every list that changes by a matrix product.
* ``one-product``: the same, and the own lists from that product too (both in module flat).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from bare import BareHnsw
from churn import Slots, Vectors
from figures import Figures
from flat import FaissFlat, OneProduct
from lists import Lists, clear, fill, first, grown, leave, new_lists, offer_to_hits

from consumer.hnsw import HnswIndex
from consumer.neighbours import NeighbourGraph

FIRST_CAPACITY = 1024
ROUND_EVENTS = 1000
PROBE = 160
NOBODY: Slots = np.empty(0, np.int32)


class Contender(Protocol):
    """Keeps lists of k, or answers queries at least. Slots are small integers; those that are gone may return."""

    def apply(self, gone: Slots, placed: Slots, vectors: Vectors) -> None:
        """One batch: gone [n] lived until now; placed [m] get vectors [m, dim], whether they lived or not."""

    def lists(self, slots: Slots) -> Slots | None:
        """The lists [n, k] of slots, nearest first, padded with -1; None for those without lists."""

    def query(self, vectors: Vectors, k: int) -> Slots:
        """The nearest of free vectors [n, dim]: slots [n, k]."""

    def figures(self) -> Figures:
        """What it cost so far."""


class Engine:
    """The neighbour graph as the service uses it."""

    def __init__(self, dim: int, k: int, slack: int) -> None:
        self.index = HnswIndex(dim)
        self.graph = NeighbourGraph(self.index, dim, k, slack, str)
        self._rewritten = 0

    def apply(self, gone: Slots, placed: Slots, vectors: Vectors) -> None:
        """Deletions and placements in one batch of the graph."""
        self._rewritten += len(self.graph.apply(gone, NOBODY, placed, placed, vectors))

    def lists(self, slots: Slots) -> Slots:
        """As they are published."""
        return self.graph.best(slots)[0]

    def query(self, vectors: Vectors, k: int) -> Slots:
        """As the service's search does."""
        return self.graph.search(vectors, k)[0]

    def figures(self) -> Figures:
        """The graph counts its own distances."""
        return Figures(int(self.graph.distances), self._rewritten, self.graph.nbytes())


class Hnswlib:
    """One add and one search for each new vector, as a full list of the engine asks for."""

    def __init__(self, dim: int, k: int, slack: int) -> None:
        self._index = BareHnsw(dim)
        self._hits = k + slack + 1

    def apply(self, gone: Slots, placed: Slots, vectors: Vectors) -> None:
        """Mark what dies, add, search."""
        self._index.replace(gone, placed, vectors)
        self._index.search(vectors, self._hits)

    def lists(self, slots: Slots) -> None:
        """It keeps none."""

    def query(self, vectors: Vectors, k: int) -> Slots:
        """A plain search."""
        return self._index.search(vectors, k)

    def figures(self) -> Figures:
        """Nothing above the index."""
        return Figures(nbytes=0)


class OwnListOnly:
    """What most pipelines do: a product's own list is right when it is written, and then grows old."""

    def __init__(self, dim: int, k: int, slack: int) -> None:
        self._index = BareHnsw(dim)
        self._near = np.full((FIRST_CAPACITY, k), -1, np.int32)
        self._rewritten = 0

    def apply(self, gone: Slots, placed: Slots, vectors: Vectors) -> None:
        """Search and write the lists of those placed."""
        self._index.replace(gone, placed, vectors)
        self._write(placed, vectors)

    def lists(self, slots: Slots) -> Slots:
        """As they were written last."""
        return self._near[slots]

    def query(self, vectors: Vectors, k: int) -> Slots:
        """A plain search."""
        return self._index.search(vectors, k)

    def figures(self) -> Figures:
        """It compares with nobody."""
        return Figures(0, self._rewritten, self._near.nbytes)

    def _write(self, slots: Slots, vectors: Vectors) -> None:
        if not len(slots):
            return
        if slots.max() >= len(self._near):
            more = max(int(slots.max()) + 1, len(self._near) * 3 // 2) - len(self._near)
            self._near = np.concatenate([self._near, np.full((more, self._near.shape[1]), -1, np.int32)])
        k = self._near.shape[1]
        self._near[slots] = without_self(self._index.search(vectors, k + 1), slots, k)
        self._rewritten += len(slots)


class Rounds(OwnListOnly):
    """Writes own lists at once, and searches all lists anew whenever ``every`` products have changed."""

    def __init__(self, dim: int, k: int, slack: int, every: int = ROUND_EVENTS) -> None:
        super().__init__(dim, k, slack)
        self.every = every
        self._since = 0

    def apply(self, gone: Slots, placed: Slots, vectors: Vectors) -> None:
        """As own-list-only, and a round when it is due."""
        super().apply(gone, placed, vectors)
        self._since += len(gone) + len(placed)
        if self._since >= self.every:
            self.round()

    def round(self) -> None:
        """Search all lists anew."""
        self._since = 0
        for slots, vectors in self._index.living():
            self._write(slots, vectors)


class Probe:
    """Offers each new product to its ``probes`` nearest. Deletes, slack and repairs are the engine's.

    Each list knows who lists it, so that deletes are exact; only arrivals are found by probing.
    """

    def __init__(self, dim: int, k: int, slack: int, probes: int = PROBE) -> None:
        self._k, self._probes = k, max(probes, k + slack)
        self._index = BareHnsw(dim)
        self._lists: Lists = new_lists(FIRST_CAPACITY, k + slack)
        self._vectors = np.zeros((FIRST_CAPACITY, dim), np.float32)
        self._rows = np.arange(FIRST_CAPACITY, dtype=np.int32)
        self._batch = self._distances = self._rewritten = 0

    def apply(self, gone: Slots, placed: Slots, vectors: Vectors) -> None:
        """Leave, add, repair, probe."""
        self._reserve(int(placed.max(initial=-1)) + 1)
        self._batch += 1
        leaving, short = np.concatenate([gone, placed]), np.zeros(len(self._vectors), np.bool_)
        clear(self._lists, leaving)
        self._rewritten += leave(self._lists, leaving, self._k, self._batch, short)
        self._vectors[placed] = vectors
        self._index.replace(gone, placed, vectors)
        self._repair(np.flatnonzero(short).astype(np.int32))
        hits = self._index.search(vectors, self._probes + 1)
        self._fill(placed, hits)
        self._rewritten += len(placed)
        self._rewritten += offer_to_hits(self._lists, placed, hits, self._vectors, self._k, self._batch)
        self._distances += int(np.count_nonzero(hits >= 0))

    def lists(self, slots: Slots) -> Slots:
        """The nearest k entries."""
        return first(self._lists, slots, self._k)

    def query(self, vectors: Vectors, k: int) -> Slots:
        """A plain search."""
        return self._index.search(vectors, k)

    def figures(self) -> Figures:
        """One distance for each hit."""
        return Figures(self._distances, self._rewritten, sum(array.nbytes for array in self._lists))

    def _repair(self, short: Slots) -> None:
        clear(self._lists, short)
        hits = self._index.search(self._vectors[short], self._lists.near.shape[1] + 1)
        self._fill(short, hits)

    def _fill(self, slots: Slots, hits: Slots) -> None:
        fill(self._lists, slots, hits, self._vectors[slots], self._vectors, self._rows, self._batch)

    def _reserve(self, slots: int) -> None:
        if slots > len(self._vectors):
            larger = max(slots, len(self._vectors) * 3 // 2)
            self._lists = grown(self._lists, larger)
            more = np.zeros((larger - len(self._vectors), self._vectors.shape[1]), np.float32)
            self._vectors = np.concatenate([self._vectors, more])
            self._rows = np.arange(larger, dtype=np.int32)


def without_self(hits: Slots, slots: Slots, k: int) -> Slots:
    """Hits [n, m] of slots [n] less themselves, the first k."""
    others = hits != slots[:, None]
    order = np.argsort(~others, axis=1, kind="stable")[:, :k]
    return np.where(np.take_along_axis(others, order, axis=1), np.take_along_axis(hits, order, axis=1), -1)


def warm_up(contender: Contender, dim: int) -> None:
    """Have the kernels of a contender that is used for nothing else compiled, or read from their cache."""
    vectors = np.random.default_rng(0).standard_normal((64, dim), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    slots = np.arange(64, dtype=np.int32)
    contender.apply(NOBODY, slots, vectors)
    contender.apply(slots[:40], NOBODY, vectors[:0])
    contender.apply(NOBODY, slots[50:60], vectors[:10])
    contender.lists(slots[50:])
    contender.query(vectors[:1], 3)


Maker = Callable[[int, int, int], Contender]
"""From dimensions, k and slack."""

CONTENDERS: dict[str, Maker] = {
    "engine": Engine,
    "hnswlib": Hnswlib,
    "own-list-only": OwnListOnly,
    "probe-160": Probe,
    "rounds": Rounds,
    "faiss-flat": FaissFlat,
    "one-product": OneProduct,
}
