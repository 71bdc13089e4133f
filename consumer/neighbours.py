"""The neighbour graph: every product's nearest products, kept right while products come, change, hide and go.

The incremental k-nearest-neighbour graph with reverse join. When x arrives, the lists that must name it belong to
products near x; those are found among x's own hits and among everybody who lists one of the hits. Each list keeps
``slack`` entries more than it publishes, so that a removal seldom needs a search. docs/architecture.md tells why it works.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumer import kernels
from consumer.errors import KinstreamError
from consumer.kernels import Journal, Rows
from consumer.ports import Index
from consumer.types import Slots, Vectors

MARGIN = 10
"""Hits searched beyond a full list: more of them find more of the lists that must change."""
FIRST_CAPACITY = 1024
TIE = np.float32(1e-5)
"""Similarities this close count as equal: float32 sums in another order differ in the seventh digit."""

Array = NDArray[Any]
MAX_LINKS = 2**31 - 1
"""Links are int32."""

EMPTY: Slots = np.empty(0, np.int32)


class NeighbourGraph:
    """Lists, radii and reverse links over slots that the caller assigns (0, 1, 2, … densely; freed ones may return).

    Visible products are in the index and may be named by lists. Hidden ones keep a list of their own.
    """

    def __init__(self, index: Index, dim: int, k: int, slack: int) -> None:
        self.k = k
        self.width = k + slack
        self.distances = 0
        self._index = index
        self.rows = _rows(FIRST_CAPACITY, dim, self.width)
        self._journal = _journal(FIRST_CAPACITY)
        self._visible = np.zeros(FIRST_CAPACITY, np.bool_)
        self._unbounded: set[int] = set()
        """Products whose list names every visible product, fewer than a full list: each newcomer belongs on it."""

    def apply(self, dropped: Slots, hidden: Slots, shown: Slots, placed: Slots, vectors: Vectors) -> Slots:
        """Apply one batch; a slot may be in one of the arguments only.

        Args:
            dropped: products that are gone.
            hidden: visible products that leave all other lists.
            shown: products that other lists may name from now on; those that are ``placed`` as visible are in both.
            placed: products with a new vector, whatever they were before.
            vectors: [len(placed), dim], L2-normalised.

        Returns:
            The slots whose published list changed, each once.
        """
        if not len(dropped) + len(hidden) + len(shown) + len(placed):
            return EMPTY
        self._reserve(max((int(part.max()) for part in (dropped, hidden, shown, placed) if len(part)), default=0) + 1)
        self._begin()
        self._leave(dropped, hidden, placed)
        self.rows.vectors[placed] = vectors
        self._visible[shown] = True
        self._index.add(shown, self.rows.vectors[shown])
        self._search_and_join(shown, placed)
        return self._journal.changed[: self._journal.size[0]].copy()

    def best(self, slots: Slots) -> tuple[Slots, NDArray[np.float32]]:
        """The published lists: neighbour slots and cosine similarities [n, k], best first, padded with -1 and -inf."""
        near = np.empty((len(slots), self.k), np.int32)
        dist = np.empty((len(slots), self.k), np.float32)
        kernels.best(self.rows, slots, near, dist)
        return near, np.minimum(1 - dist, np.float32(1))

    def vectors(self, slots: Slots) -> Vectors:
        """A copy of the vectors [n, dim]."""
        return self.rows.vectors[slots]

    def search(self, vectors: Vectors, k: int) -> tuple[Slots, NDArray[np.float32]]:
        """The nearest visible products of free vectors [n, dim]: slots [n, k] padded with -1, and similarities."""
        slots = self._index.search(vectors, k)
        similarities = np.einsum("nd,nkd->nk", vectors, self.rows.vectors[slots])
        return slots, np.where(slots < 0, -np.inf, similarities).astype(np.float32)

    def recall(self, slots: Slots) -> float:
        """Share of the entries of the published lists of slots [n] that are as near as the exact k nearest."""
        used = len(self._visible)
        exact = self.rows.vectors[slots] @ self.rows.vectors[:used].T
        exact[:, ~self._visible] = -np.inf
        exact[np.arange(len(slots)), slots] = -np.inf
        wanted = min(self.k, used - 1)
        least = np.partition(exact, -wanted, axis=1)[:, -wanted]
        due = np.minimum((exact > -np.inf).sum(axis=1), wanted).sum()
        _, similarities = self.best(slots)
        near_enough = (similarities > -np.inf) & (similarities >= least[:, None] - TIE)
        right = np.minimum(near_enough.sum(axis=1), wanted)
        return float(right.sum() / due) if due else 1.0

    def nbytes(self) -> int:
        """Bytes of all arrays but the vectors."""
        arrays = (*self.rows[1:], *self._journal, self._visible)
        return sum(array.nbytes for array in arrays)

    def _begin(self) -> None:
        self._journal.size[:2] = 0
        self._journal.size[2] += 1

    def _leave(self, dropped: Slots, hidden: Slots, placed: Slots) -> None:
        cleared = np.concatenate([dropped, placed])
        kernels.clear_lists(self.rows, cleared)
        self._unbounded.difference_update(cleared.tolist())
        leaving = np.concatenate([cleared, hidden])
        leaving = leaving[self._visible[leaving]]
        kernels.leave_lists(self.rows, self._journal, leaving, self.k)
        self._visible[leaving] = False
        self._index.remove(leaving)

    def _search_and_join(self, shown: Slots, placed: Slots) -> None:
        short = self._journal.short[: self._journal.size[1]].copy()
        targets = np.concatenate([shown, np.setdiff1d(np.concatenate([placed, short]), shown)])
        if not len(targets):
            return
        hits = self._index.search(self.rows.vectors[targets], self.width + MARGIN + 1)
        kernels.set_lists(self.rows, self._journal, targets, hits)
        unbounded = np.fromiter(self._unbounded, np.int32, len(self._unbounded))
        self.distances += kernels.join(self.rows, self._journal, shown, hits[: len(shown)], unbounded, self.k)
        watched = np.concatenate([targets, unbounded])
        still = np.isinf(self.rows.radius[watched])
        self._unbounded.difference_update(watched[~still].tolist())
        self._unbounded.update(watched[still].tolist())

    def _reserve(self, rows: int) -> None:
        capacity = len(self._visible)
        if rows <= capacity:
            return
        larger = max(rows, capacity + capacity // 2)
        if larger * self.width > MAX_LINKS:
            raise KinstreamError(
                f"{rows} products with lists of KINSTREAM_K + KINSTREAM_SLACK = {self.width} are more than "
                f"{MAX_LINKS} links: lower one of them"
            )
        dim = self.rows.vectors.shape[1]
        self.rows = Rows(*_grown(self.rows, _rows(larger, dim, self.width)))
        self._journal = Journal(*_grown(self._journal, _journal(larger)))
        (self._visible,) = _grown([self._visible], [np.zeros(larger, np.bool_)])


def _grown(old: Sequence[Array], new: Sequence[Array]) -> Sequence[Array]:
    for small, large in zip(old, new, strict=True):
        large[: len(small)] = small
    return new


def _rows(capacity: int, dim: int, width: int) -> Rows:
    return Rows(
        vectors=np.zeros((capacity, dim), np.float32),
        near=np.full((capacity, width), -1, np.int32),
        dist=np.zeros((capacity, width), np.float32),
        filled=np.zeros(capacity, np.int32),
        radius=np.zeros(capacity, np.float32),
        head=np.full(capacity, -1, np.int32),
        after=np.full(capacity * width, -1, np.int32),
        before=np.full(capacity * width, -1, np.int32),
        tested=np.zeros(capacity, np.int64),
    )


def _journal(capacity: int) -> Journal:
    return Journal(
        stamp=np.zeros(capacity, np.int64),
        changed=np.zeros(capacity, np.int32),
        short_stamp=np.zeros(capacity, np.int64),
        short=np.zeros(capacity, np.int32),
        size=np.zeros(4, np.int64),
    )


def warm_up(index: Index, dim: int) -> None:
    """Have the kernels compiled, or read from their cache, before the first event waits for them."""
    graph = NeighbourGraph(index, dim, k=1, slack=0)
    slots = np.arange(3, dtype=np.int32)
    graph.apply(EMPTY, EMPTY, slots, slots, np.eye(3, dim, dtype=np.float32))
    graph.apply(slots[:1], EMPTY, EMPTY, EMPTY, np.empty((0, dim), np.float32))
    graph.best(slots)
