"""The exact index: brute force over a matrix. The truth that the others are tested against."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from consumer.types import Labels, Slots, Vectors


class ExactIndex:
    """Compares a query with every live vector."""

    exhaustive = True

    def __init__(self, dim: int) -> None:
        self._slots: Slots = np.empty(0, np.int32)
        self._vectors: Vectors = np.empty((0, dim), np.float32)

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, slots: Slots, vectors: Vectors) -> None:
        """Add vectors [n, dim]."""
        self._slots = np.concatenate([self._slots, slots])
        self._vectors = np.concatenate([self._vectors, vectors])

    def remove(self, slots: Slots) -> None:
        """Take slots out."""
        self._check(slots)
        keep = ~np.isin(self._slots, slots)
        self._slots = self._slots[keep]
        self._vectors = self._vectors[keep]

    def rename(self, old: int, new: int) -> None:
        """Give a vector another slot."""
        self._check(np.array([old], np.int32))
        self._slots[self._slots == old] = new

    def search(self, vectors: Vectors, k: int) -> Slots:
        """The exact nearest, ties broken by slot."""
        return compared(self._slots, self._vectors, vectors, k)

    def maintain(self, moves: int) -> None:
        """Nothing is left behind that would need it."""

    @property
    def parameters(self) -> dict[str, int]:
        """It has none."""
        return {}

    def save(self, file: Path) -> Labels:
        """Write no file: the vectors are all that it is made of."""
        labels = np.full(int(self._slots.max(initial=-1)) + 1, -1, np.int64)
        labels[self._slots] = self._slots
        return labels

    def load(self, file: Path, labels: Labels, vectors: Vectors) -> None:
        """Take the vectors of all slots that have a label."""
        slots = np.flatnonzero(labels >= 0).astype(np.int32)
        self.add(slots, vectors[slots])

    def _check(self, slots: Slots) -> None:
        unknown = np.setdiff1d(slots, self._slots)
        if len(unknown):
            raise KeyError(f"slots {unknown.tolist()} are not in the index")


def compared(slots: Slots, vectors: Vectors, queries: Vectors, k: int) -> Slots:
    """The nearest [n, k] of slots [m] with vectors [m, dim] to queries [n, dim], ties broken by slot, padded with -1."""
    found = np.full((len(queries), k), -1, np.int32)
    for row, query in enumerate(queries):
        squared = ((vectors - query) ** 2).sum(axis=1)
        order = np.lexsort((slots, squared))[:k]
        found[row, : len(order)] = slots[order]
    return found
