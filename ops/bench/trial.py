"""A contender that follows a changing catalogue, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from churn import Events, Slots, Vectors, batches
from contenders import Contender
from measure import list_recall
from numpy.typing import NDArray

CHUNK = 2560
"""Events after which another contender has its turn."""
LISTS = 1000

Advance = Callable[[int], None]


@dataclass(slots=True)
class Cost:
    """Of so many events."""

    events: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    """Seconds of CPU time of the longest call: the clock also counts what a hypervisor takes, at times 0.1 s at once."""
    distances: int = 0
    rewritten: int = 0

    @property
    def ms(self) -> float:
        """Milliseconds an event."""
        return self.seconds * 1000 / max(1, self.events)

    def add(self, other: Cost) -> None:
        """Sum up."""
        self.events += other.events
        self.seconds += other.seconds
        self.longest = max(self.longest, other.longest)
        self.distances += other.distances
        self.rewritten += other.rewritten


class Trial:
    """Applies events to one contender; ``pool`` [rows, dim] has the vectors that the events name."""

    def __init__(self, name: str, contender: Contender, pool: Vectors, slots: int) -> None:
        self.name = name
        self.contender = contender
        self._pool = pool
        self._row_of: NDArray[np.int64] = np.full(slots, -1, np.int64)

    @property
    def live(self) -> Slots:
        """Slots [n] that live."""
        return np.flatnonzero(self._row_of >= 0).astype(np.int32)

    def run(self, events: Events, batch: int) -> Cost:
        """Apply events; the time is that of the contender's calls alone."""
        cost, before = Cost(events=len(events)), self.contender.figures()
        for change in batches(events, batch):
            vectors = self._pool[change.rows]
            gone = change.gone[self._row_of[change.gone] >= 0]  # less those that a deadline kept from arriving
            started, busy = time.perf_counter(), time.thread_time()
            self.contender.apply(gone, change.placed, vectors)
            cost.longest = max(cost.longest, time.thread_time() - busy)
            cost.seconds += time.perf_counter() - started
            self._row_of[gone] = -1
            self._row_of[change.placed] = change.rows
        after = self.contender.figures()
        cost.distances = (after.distances or 0) - (before.distances or 0)
        cost.rewritten = (after.rewritten or 0) - (before.rewritten or 0)
        return cost

    def recall(self) -> float | None:
        """Of a sample of lists, against brute force; None without lists."""
        live = self.live
        sample = np.random.default_rng(1).permutation(live)[:LISTS]
        near = self.contender.lists(sample)
        if near is None:
            return None
        named = np.where(near >= 0, self._row_of[near], -1)
        return list_recall(self._pool, self._row_of[live], self._row_of[sample], named)

    def bytes_per_product(self) -> float:
        """Above vectors and index."""
        return (self.contender.figures().nbytes or 0) / max(1, len(self.live))


@dataclass(frozen=True, slots=True)
class Point:
    """What an event costs one contender at one setting; ``products`` live, lists are of ``k`` plus ``slack``."""

    contender: str
    products: int
    dim: int
    k: int
    slack: int
    batch: int
    events: int
    ms_per_event: float
    distances_per_event: float
    rewritten_per_event: float
    bytes_per_product: float
    list_recall: float | None


def point(trial: Trial, cost: Cost, dim: int, k: int, slack: int, batch: int) -> Point:
    """A cost, with the recall and memory of now."""
    return Point(
        contender=trial.name,
        products=len(trial.live),
        dim=dim,
        k=k,
        slack=slack,
        batch=batch,
        events=cost.events,
        ms_per_event=cost.ms,
        distances_per_event=cost.distances / max(1, cost.events),
        rewritten_per_event=cost.rewritten / max(1, cost.events),
        bytes_per_product=trial.bytes_per_product(),
        list_recall=trial.recall(),
    )


def alternate(
    trials: Sequence[Trial], events: Events, batch: int, advance: Advance, deadline: float = float("inf")
) -> list[Cost]:
    """The same events for all trials, chunk by chunk in turn, so that a slow moment of the machine hits all of them.

    No chunk begins after ``deadline``, as time.monotonic() counts.
    """
    costs = [Cost() for _ in trials]
    for start in range(0, len(events), CHUNK):
        if time.monotonic() > deadline:
            break
        chunk = events[start : start + CHUNK]
        for trial, cost in zip(trials, costs, strict=True):
            cost.add(trial.run(chunk, batch))
            advance(len(chunk))
    return costs
