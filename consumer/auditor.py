"""The auditor: compares a sample of lists with the exact answer now and then."""

from __future__ import annotations

import numpy as np
from prometheus_client import Gauge

from consumer.catalogue import Catalogue
from consumer.neighbours import NeighbourGraph

EVERY_SECONDS = 10.0
SAMPLE = 16
BUDGET = 400_000
"""Distances that one turn may compute: a large catalogue gets a smaller sample, never a longer pause."""


class Auditor:
    """Keeps ``kinstream_list_recall``, averaged over the recent turns."""

    def __init__(self, graph: NeighbourGraph, catalogue: Catalogue, recall: Gauge, seed: int = 0) -> None:
        self._graph = graph
        self._catalogue = catalogue
        self._recall = recall
        self._random = np.random.default_rng(seed)
        self._turned_at = float("-inf")
        self._average: float | None = None

    def turn(self, now: float) -> None:
        """Take a sample when the last one is old enough; ``now`` in seconds."""
        if now - self._turned_at < EVERY_SECONDS or not len(self._catalogue):
            return
        self._turned_at = now
        slots = self._catalogue.slots()
        size = max(1, min(SAMPLE, BUDGET // len(slots), len(slots)))
        recall = self._graph.recall(self._random.choice(slots, size, replace=False))
        self._average = recall if self._average is None else 0.8 * self._average + 0.2 * recall
        self._recall.set(self._average)
