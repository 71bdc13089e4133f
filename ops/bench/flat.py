"""Brute force, written to be fast: one matrix product with all vectors finds every list that a new product changes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from churn import Slots, Vectors
from figures import Figures
from lists import Lists, clear, fill, first, grown, leave, nearest, new_lists, offer_to_all
from numpy.typing import NDArray

FIRST_CAPACITY = 1024
PRODUCT_CELLS = 8_000_000
"""Similarities computed at once, so that they fit into memory whatever the catalogue."""


class OneProduct:
    """Own lists, others' lists and answers all come from the product of the new vectors with all vectors.

    Vectors lie densely: the last one moves into the gap that a deletion leaves.
    """

    def __init__(self, dim: int, k: int, slack: int) -> None:
        self._k = k
        self._lists: Lists = new_lists(FIRST_CAPACITY, k + slack)
        self._dense = np.zeros((FIRST_CAPACITY, dim), np.float32)
        self._slot_at = np.full(FIRST_CAPACITY, -1, np.int32)
        self._row_of = np.full(FIRST_CAPACITY, -1, np.int32)
        self._cells = np.empty(PRODUCT_CELLS, np.float32)
        self._live = self._batch = self._distances = self._rewritten = 0

    def apply(self, gone: Slots, placed: Slots, vectors: Vectors) -> None:
        """Leave, move, repair, compare with all."""
        self._reserve(int(placed.max(initial=-1)) + 1)
        self._batch += 1
        leaving, short = np.concatenate([gone, placed]), np.zeros(len(self._row_of), np.bool_)
        clear(self._lists, leaving)
        self._rewritten += leave(self._lists, leaving, self._k, self._batch, short)
        self._move(gone, placed, vectors)
        self._repair(np.flatnonzero(short).astype(np.int32))
        self._arrive(placed, vectors)

    def lists(self, slots: Slots) -> Slots:
        """The nearest k entries."""
        return first(self._lists, slots, self._k)

    def query(self, vectors: Vectors, k: int) -> Slots:
        """The exact nearest."""
        found = np.empty((len(vectors), k), np.int32)
        for part, similarities in self._products(vectors):
            nearest(similarities, self._slot_at[: self._live], found[part])
        return found

    def figures(self) -> Figures:
        """One distance for each product and new vector."""
        return Figures(self._distances, self._rewritten, sum(array.nbytes for array in self._lists))

    def _arrive(self, placed: Slots, vectors: Vectors) -> None:
        slot_at = self._slot_at[: self._live]
        self._rewritten += len(placed)
        for part, similarities in self._products(vectors):
            hits = self._own(vectors[part], similarities)
            self._fill(placed[part], vectors[part], hits)
            self._rewritten += offer_to_all(self._lists, placed[part], similarities, slot_at, self._k, self._batch)
            self._distances += similarities.size

    def _own(self, vectors: Vectors, similarities: NDArray[np.float32]) -> Slots:
        """Hits [n, K + 1] of vectors [n, dim], of which the similarities [n, live] are known already."""
        hits = np.empty((len(vectors), self._lists.near.shape[1] + 1), np.int32)
        nearest(similarities, self._slot_at[: self._live], hits)
        return hits

    def _repair(self, short: Slots) -> None:
        if len(short):
            clear(self._lists, short)
            vectors = self._dense[self._row_of[short]]
            self._fill(short, vectors, self.query(vectors, self._lists.near.shape[1] + 1))

    def _fill(self, slots: Slots, vectors: Vectors, hits: Slots) -> None:
        fill(self._lists, slots, hits, vectors, self._dense, self._row_of, self._batch)

    def _products(self, vectors: Vectors) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Parts of vectors [n, dim] and their similarities [part, live], which the next part overwrites."""
        block = max(1, PRODUCT_CELLS // max(1, self._live))
        for start in range(0, len(vectors), block):
            part = slice(start, min(start + block, len(vectors)))
            shape = (part.stop - start, self._live)
            if shape[0] * shape[1] > len(self._cells):
                self._cells = np.empty(shape[0] * shape[1], np.float32)
            cells = self._cells[: shape[0] * shape[1]].reshape(shape)
            yield part, np.matmul(vectors[part], self._dense[: self._live].T, out=cells)

    def _move(self, gone: Slots, placed: Slots, vectors: Vectors) -> None:
        for slot in gone.tolist():
            row, last = self._row_of[slot], self._live - 1
            moved = self._slot_at[last]
            self._dense[row], self._slot_at[row], self._row_of[moved] = self._dense[last], moved, row
            self._row_of[slot], self._live = -1, last
        new = placed[self._row_of[placed] < 0]
        rows = np.arange(self._live, self._live + len(new), dtype=np.int32)
        self._row_of[new], self._slot_at[rows] = rows, new
        self._live += len(new)
        self._dense[self._row_of[placed]] = vectors

    def _reserve(self, slots: int) -> None:
        held = len(self._row_of)
        if slots <= held:
            return
        larger = max(slots, held * 3 // 2)
        self._lists = grown(self._lists, larger)
        self._dense = _extended(self._dense, larger, 0)
        self._slot_at, self._row_of = _extended(self._slot_at, larger, -1), _extended(self._row_of, larger, -1)


class FaissFlat(OneProduct):
    """Own lists, repairs and answers by faiss, as IndexFlatIP computes them, over the array that lies here already."""

    def __init__(self, dim: int, k: int, slack: int) -> None:
        super().__init__(dim, k, slack)
        self._faiss = load_faiss()

    def query(self, vectors: Vectors, k: int) -> Slots:
        """The exact nearest."""
        found = np.full((len(vectors), k), -1, np.int32)
        reach = min(k, self._live)
        if reach and len(vectors):
            metric = self._faiss.METRIC_INNER_PRODUCT
            _, rows = self._faiss.knn(np.ascontiguousarray(vectors), self._dense[: self._live], reach, metric=metric)
            found[:, :reach] = self._slot_at[rows]
        return found

    def _own(self, vectors: Vectors, similarities: NDArray[np.float32]) -> Slots:
        return self.query(vectors, self._lists.near.shape[1] + 1)


def load_faiss() -> Any:
    """Faiss with one thread, as all contenders have; its import warns of its own bindings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import faiss  # noqa: PLC0415
    except ImportError:
        raise RuntimeError("faiss-flat needs faiss: pip install faiss-cpu, or leave this contender out") from None
    faiss.omp_set_num_threads(1)
    return faiss


def _extended(array: Any, length: int, value: int) -> Any:
    tail = np.full((length - len(array), *array.shape[1:]), value, array.dtype)
    return np.concatenate([array, tail])
