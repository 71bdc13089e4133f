"""The approximate index: hnswlib made safe.

hnswlib is told never to reuse a label: a slot that returns gets a new label, since updating in place is slower and, with a
free slot at hand, answers the label twice. The dead stay in its graph, so when they outnumber the living the next index is
built beside this one, a few products at every call and more in idle moments, and then takes over: no call ever waits for a
rebuild.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import hnswlib
import numpy as np

from consumer.arrays import larger, resize, trimmed
from consumer.exact import compared
from consumer.types import Labels, Slots, Vectors

M = 16
EF_CONSTRUCTION = 100
EF_SEARCH = 80
FIRST_CAPACITY = 1024
MOST_GROWTH = 16384
"""Labels added at once at most: the system has to clear their memory while events wait."""
COMPACT_FROM = 1024
"""Dead labels below this number are not worth a compaction."""
FEW = 4096
"""Up to so many living are compared one by one when a walk among many dead does not reach enough of them."""
MOVES = 4
"""Products moved to the next index for each product added or removed while compacting."""
MOST_MOVES = 96
"""Of one call, which would hold up a large batch too long otherwise."""


class HnswIndex:
    """An HNSW graph over squared Euclidean distances; deterministic for a given order of calls."""

    exhaustive = False

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._live = _Graph(dim, FIRST_CAPACITY)
        self._next: _Graph | None = None
        self._to_move: Labels = np.empty(0, np.int64)
        """Labels of the live graph."""

    def __len__(self) -> int:
        return len(self._live)

    @property
    def dead(self) -> int:
        """Deleted vectors that still take memory."""
        return self._live.dead

    @property
    def compacting(self) -> bool:
        """Whether the next index is being built."""
        return self._next is not None

    def add(self, slots: Slots, vectors: Vectors) -> None:
        """Add vectors [n, dim]."""
        if not len(slots):
            return
        self._live.add(slots, vectors)
        if self._next is not None:
            self._next.add(slots, vectors)
        self.maintain(min(len(slots) * MOVES, MOST_MOVES))

    def remove(self, slots: Slots) -> None:
        """Mark slots as deleted."""
        if not len(slots):
            return
        self._live.remove(slots)
        if self._next is not None:
            self._next.remove(self._next.known(slots))
        self.maintain(min(len(slots) * MOVES, MOST_MOVES))

    def rename(self, old: int, new: int) -> None:
        """Give a vector another slot."""
        self._live.rename(old, new)
        if self._next is not None and len(self._next.known(np.array([old], np.int32))):
            self._next.rename(old, new)

    def search(self, vectors: Vectors, k: int) -> Slots:
        """The approximately nearest."""
        return self._live.search(vectors, k)

    def maintain(self, moves: int) -> None:
        """Move so many vectors to the next index when the dead outnumber the living; with the last of them it takes over."""
        if self._next is None:
            if self._live.dead < max(COMPACT_FROM, len(self._live)):
                return
            self._next = _Graph(self._dim, FIRST_CAPACITY)
            self._to_move = self._live.labels()
        labels, self._to_move = self._to_move[:moves], self._to_move[moves:]
        self._next.add(*self._live.living(labels))
        if not len(self._to_move):
            self._live, self._next = self._next, None

    @property
    def parameters(self) -> dict[str, int]:
        """Of hnswlib."""
        return {"M": M, "ef_construction": EF_CONSTRUCTION}

    def save(self, file: Path) -> Labels:
        """Save the live graph; one that is being built beside it is begun anew after a load."""
        return self._live.save(file)

    def load(self, file: Path, labels: Labels, vectors: Vectors) -> None:
        """Load the live graph, which has the vectors itself."""
        self._live.load(file, labels)


class _Graph:
    """One hnswlib index and the two maps between its labels and our slots."""

    def __init__(self, dim: int, capacity: int) -> None:
        self._hnsw = hnswlib.Index("l2", dim)
        self._hnsw.init_index(capacity, M=M, ef_construction=EF_CONSTRUCTION, random_seed=1)
        self._slot_of: Slots = np.full(capacity, -1, np.int32)
        self._label_of: Labels = np.full(capacity, -1, np.int64)
        self._labels = 0
        self.dead = 0

    def __len__(self) -> int:
        return self._labels - self.dead

    def labels(self) -> Labels:
        """All live labels."""
        return np.sort(self._label_of[self._label_of >= 0])

    def known(self, slots: Slots) -> Slots:
        """Those of the slots that are live here."""
        inside = slots[slots < len(self._label_of)]
        return inside[self._label_of[inside] >= 0]

    def living(self, labels: Labels) -> tuple[Slots, Vectors]:
        """Slots [n] and vectors [n, dim] of those of the labels that are live."""
        slots = self._slot_of[labels]
        alive = labels[self._label_of[slots] == labels]
        vectors = np.asarray(self._hnsw.get_items(alive), np.float32).reshape(len(alive), self._hnsw.dim)
        return self._slot_of[alive], vectors

    def add(self, slots: Slots, vectors: Vectors) -> None:
        if not len(slots):
            return
        self._reserve(self._labels + len(slots), int(slots.max()) + 1)
        labels = np.arange(self._labels, self._labels + len(slots), dtype=np.int64)
        self._hnsw.add_items(vectors, labels, num_threads=1)
        self._slot_of[labels] = slots
        self._label_of[slots] = labels
        self._labels += len(slots)

    def remove(self, slots: Slots) -> None:
        if len(self.known(slots)) < len(slots):
            unknown = np.setdiff1d(slots, self.known(slots))
            raise KeyError(f"slots {unknown.tolist()} are not in the index")
        for label in self._label_of[slots].tolist():
            self._hnsw.mark_deleted(label)
        self._label_of[slots] = -1
        self.dead += len(slots)

    def rename(self, old: int, new: int) -> None:
        label = self._label_of[old] if old < len(self._label_of) else -1
        if label < 0:
            raise KeyError(f"slot {old} is not in the index")
        self._label_of[old] = -1
        self._reserve(0, new + 1)
        self._label_of[new] = label
        self._slot_of[label] = new

    def search(self, vectors: Vectors, k: int) -> Slots:
        """hnswlib refuses a k above the number of live items, and at times a smaller one that its walk did not fill."""
        found = np.full((len(vectors), k), -1, np.int32)
        reach = min(k, len(self))
        if reach == 0 or not len(vectors):
            return found
        self._hnsw.set_ef(max(EF_SEARCH, reach * 4 // 3))
        try:
            labels, _ = self._hnsw.knn_query(vectors, k=reach, num_threads=1)
            found[:, :reach] = self._slot_of[labels.astype(np.int64)]
        except RuntimeError:
            if len(self) <= FEW:
                return compared(*self.living(self.labels()), vectors, k)
            for row, vector in enumerate(vectors):
                hits = self._search_narrower(vector, reach)
                found[row, : len(hits)] = hits
        return found

    def save(self, file: Path) -> Labels:
        """hnswlib says nothing when the disk is full: only the size of the file tells."""
        try:
            self._hnsw.save_index(str(file))
        except RuntimeError as error:
            raise OSError(errno.EIO, str(error), str(file)) from error
        if file.stat().st_size != self._hnsw.index_file_size():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
        return trimmed(self._label_of)

    def load(self, file: Path, labels: Labels) -> None:
        """Labels were given out in turn, so there are as many as elements, the dead included."""
        self._hnsw = hnswlib.Index("l2", self._hnsw.dim)
        self._hnsw.load_index(str(file))
        self._labels = self._hnsw.get_current_count()
        slots = np.flatnonzero(labels >= 0).astype(np.int32)
        self._slot_of = np.full(self._hnsw.get_max_elements(), -1, np.int32)
        self._slot_of[labels[slots]] = slots
        self._label_of = np.array(labels)
        self.dead = self._labels - len(slots)

    def _search_narrower(self, vector: Vectors, reach: int) -> Slots:
        while reach:
            try:
                labels, _ = self._hnsw.knn_query(vector[None], k=reach, num_threads=1)
                hits: Slots = self._slot_of[labels[0].astype(np.int64)]
                return hits
            except RuntimeError:
                reach = reach * 3 // 4
        return np.empty(0, np.int32)

    def _reserve(self, labels: int, slots: int) -> None:
        if labels > len(self._slot_of):
            capacity = larger(labels, len(self._slot_of), MOST_GROWTH)
            self._hnsw.resize_index(capacity)
            resize(self._slot_of, capacity, fill=-1)
        if slots > len(self._label_of):
            resize(self._label_of, larger(slots, len(self._label_of), MOST_GROWTH), fill=-1)
