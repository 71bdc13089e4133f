"""hnswlib as the engine uses it, and nothing around it: a new label for each vector, the dead are marked."""

from __future__ import annotations

from collections.abc import Iterator

import hnswlib
import numpy as np
from churn import Slots, Vectors
from numpy.typing import NDArray

from consumer.hnsw import EF_CONSTRUCTION, EF_SEARCH, M

FIRST_CAPACITY = 1024
BLOCK = 4096


class BareHnsw:
    """One hnswlib index of unit vectors; slots that return get a new label. One thread, no compaction."""

    def __init__(self, dim: int) -> None:
        self._hnsw = hnswlib.Index("l2", dim)
        self._hnsw.init_index(FIRST_CAPACITY, M=M, ef_construction=EF_CONSTRUCTION, random_seed=1)
        self._slot_of: NDArray[np.int32] = np.full(FIRST_CAPACITY, -1, np.int32)
        self._label_of: NDArray[np.int64] = np.full(FIRST_CAPACITY, -1, np.int64)
        self._labels = self._dead = 0

    def replace(self, gone: Slots, placed: Slots, vectors: Vectors) -> None:
        """Mark what is gone and the old vectors of placed [n], then add vectors [n, dim]."""
        self._reserve(self._labels + len(placed), int(placed.max(initial=-1)) + 1)
        for slots in (gone, placed):
            labels = self._label_of[slots]
            for label in labels[labels >= 0].tolist():
                self._hnsw.mark_deleted(label)
            self._dead += int(np.count_nonzero(labels >= 0))
            self._label_of[slots] = -1
        labels = np.arange(self._labels, self._labels + len(placed))
        if len(labels):
            self._hnsw.add_items(vectors, labels, num_threads=1)
        self._slot_of[labels], self._label_of[placed] = placed, labels
        self._labels += len(labels)

    def search(self, vectors: Vectors, k: int) -> Slots:
        """The nearest [n, k], padded with -1; as wide a search as the engine's, or k where that is more."""
        found = np.full((len(vectors), k), -1, np.int32)
        reach = min(k, self._labels - self._dead)
        if not reach or not len(vectors):
            return found
        for ef in (max(EF_SEARCH, reach), max(8 * EF_SEARCH, 8 * reach), self._labels):
            self._hnsw.set_ef(ef)
            try:
                labels, _ = self._hnsw.knn_query(vectors, k=reach, num_threads=1)
            except RuntimeError:
                continue  # fewer than k were reached: search more widely
            found[:, :reach] = self._slot_of[labels.astype(np.int64)]
            break
        return found

    def living(self) -> Iterator[tuple[Slots, Vectors]]:
        """Slots [n] and vectors [n, dim] of all that live, in blocks."""
        slots = np.flatnonzero(self._label_of >= 0).astype(np.int32)
        for start in range(0, len(slots), BLOCK):
            block = slots[start : start + BLOCK]
            yield block, np.asarray(self._hnsw.get_items(self._label_of[block]), np.float32)

    def _reserve(self, labels: int, slots: int) -> None:
        if labels > len(self._slot_of):
            larger = max(labels, len(self._slot_of) * 3 // 2)
            self._hnsw.resize_index(larger)
            self._slot_of = np.concatenate([self._slot_of, np.full(larger - len(self._slot_of), -1, np.int32)])
        if slots > len(self._label_of):
            larger = max(slots, len(self._label_of) * 3 // 2)
            self._label_of = np.concatenate([self._label_of, np.full(larger - len(self._label_of), -1, np.int64)])
