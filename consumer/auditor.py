"""The auditor: compares a sample of lists with the exact answer again and again, and heals those that are wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

import numpy as np
import structlog
from prometheus_client import Gauge

from consumer.catalogue import Catalogue
from consumer.neighbours import NeighbourGraph
from consumer.types import Slots

log = structlog.get_logger(__name__)

EVERY_SECONDS = 1.0
"""Time between two turns at least, however small the catalogue."""
SAMPLE = 16
BUDGET = 400_000
"""Distances that one turn may compute: a large catalogue gets a smaller sample, down to one list."""
MEMORY = 0.95
"""Weight of what was measured before in the moving average."""


class Auditor:
    """Keeps ``kinstream_list_recall``, a moving average over the samples.

    Args:
        lock: held while the graph changes.
        share: part of the time that this may take, 0 for never.
    """

    def __init__(
        self,
        graph: NeighbourGraph,
        catalogue: Catalogue,
        recall: Gauge,
        lock: Lock,
        share: float,
        seed: int = 0,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._graph = graph
        self._catalogue = catalogue
        self._recall = recall
        self._lock = lock
        self._share = share
        self._random = np.random.default_rng(seed)
        self._stopwatch = stopwatch
        self._due = float("-inf")
        self._average: float | None = None

    def turn(self, now: float) -> Slots | None:
        """Take a sample when the share of the time allows for it; ``now`` in seconds. Returns what healing changed."""
        if not self._share or now < self._due or not len(self._catalogue):
            return None
        started = self._stopwatch()
        healed = self._audit()
        self._due = now + max(EVERY_SECONDS, (self._stopwatch() - started) / self._share)
        return healed

    def _audit(self) -> Slots | None:
        size = max(1, min(SAMPLE, BUDGET // len(self._catalogue)))
        sample = self._graph.sample(size, self._random)
        recall = self._graph.recall(sample)
        found = float(recall.mean())
        self._average = found if self._average is None else MEMORY * self._average + (1 - MEMORY) * found
        self._recall.set(self._average)
        wrong = sample[recall < 1]
        if not len(wrong):
            return None
        with self._lock:
            touched = self._graph.heal(wrong)
        log.debug("healed", products=[self._catalogue.id_of(slot) for slot in wrong.tolist()])
        return touched
