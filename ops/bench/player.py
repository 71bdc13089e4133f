"""Plays a runbook on a contender and measures at each search step."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from churn import Slots, Vectors
from contenders import NOBODY, Contender
from figures import Figures
from measure import list_recall, noisy, query_recall, resident_bytes
from runbook import Runbook, Step

from consumer.allocator import Trimmer

LISTS, QUERIES = 500, 200
"""Sampled at each search step."""
NOISE = 0.2
"""Of a query beside the product that it is made from, relative to the length of a vector."""


@dataclass(frozen=True, slots=True)
class Row:
    """One search step of one contender; costs are those since the search step before, memory is at the step."""

    dataset: str
    step: int
    contender: str
    live: int
    list_recall: float | None
    query_recall: float
    distances_per_event: float | None
    ms_per_event: float
    rewritten_per_event: float | None
    bytes_per_product: float | None
    resident_mb: float
    """What the process has gained since before the contender was made."""


class Places:
    """Slots of tags: those that are gone return, so that memory follows the living. A row of vectors for each slot."""

    def __init__(self, tags: int, dim: int) -> None:
        self._slot_of: Slots = np.full(tags, -1, np.int32)
        self._free: deque[int] = deque()
        self._used = 0
        self.vectors = np.zeros((0, dim), np.float32)

    def live(self) -> Slots:
        """Slots [n] that live."""
        return self._slot_of[self._slot_of >= 0]

    def free(self, tags: range) -> Slots:
        """The slots of those of the tags that live; they are gone now."""
        slots = self._slot_of[tags.start : tags.stop]
        gone = slots[slots >= 0]
        self._slot_of[tags.start : tags.stop] = -1
        self._free.extend(gone.tolist())
        return gone

    def place(self, tags: range, vectors: Vectors) -> Slots:
        """The slots of tags [n], new ones for those that did not live, with vectors [n, dim]."""
        slots = self._slot_of[tags.start : tags.stop]
        for at in np.flatnonzero(slots < 0).tolist():
            slots[at] = self._free.popleft() if self._free else self._new()
        if self._used > len(self.vectors):
            more = max(self._used, len(self.vectors) * 3 // 2) - len(self.vectors)
            self.vectors = np.concatenate([self.vectors, np.zeros((more, self.vectors.shape[1]), np.float32)])
        self.vectors[slots] = vectors
        return slots.copy()

    def _new(self) -> int:
        self._used += 1
        return self._used - 1


class Player:
    """One contender and one runbook.

    Args:
        runbook: what to do.
        vectors: [rows, dim] of unit length.
        name: of the contender, for the rows.
        make: makes the contender.
        queries: [n, dim] of unit length; made from living products when there are none.
    """

    def __init__(
        self, runbook: Runbook, vectors: Vectors, name: str, make: Callable[[], Contender], queries: Vectors | None
    ) -> None:
        self._runbook, self._vectors, self._name, self._queries = runbook, vectors, name, queries
        self._places = Places(runbook.tags, vectors.shape[1])
        gc.collect()
        Trimmer().turn(time.monotonic())
        self._resident = resident_bytes()
        self._contender = make()
        self._events, self._seconds, self._paid = 0, 0.0, Figures(0, 0)

    def play(self, k: int, batch: int, advance: Callable[[int], None]) -> Iterator[Row]:
        """Apply all steps, so many events at once; yields a row at each search step for lists and answers of k.

        A delete of a tag that does not live is no event. ``advance`` is told the number of tags of each batch.
        """
        for step in self._runbook.steps:
            for start in range(0, len(step.tags), batch):
                part = slice(start, start + batch)
                self._apply(step, part)
                advance(len(step.tags[part]))
            if step.operation == "search":
                yield self._row(step, k)
                self._events, self._seconds, self._paid = 0, 0.0, self._contender.figures()

    def _apply(self, step: Step, part: slice) -> None:
        new = self._vectors[step.ids.start : step.ids.stop][part]
        if step.operation == "delete":
            gone, placed = self._places.free(step.tags[part]), NOBODY
        else:
            gone, placed = NOBODY, self._places.place(step.tags[part], new)
        started = time.perf_counter()
        self._contender.apply(gone, placed, new)
        self._seconds += time.perf_counter() - started
        self._events += len(gone) + len(placed)

    def _row(self, step: Step, k: int) -> Row:
        resident, total = resident_bytes() - self._resident, self._contender.figures()
        live = self._places.live()
        lists, queries = self._recalls(live, k, step.number)
        return Row(
            dataset=self._runbook.dataset,
            step=step.number,
            contender=self._name,
            live=len(live),
            list_recall=lists,
            query_recall=queries,
            distances_per_event=self._each(total.distances, self._paid.distances),
            ms_per_event=self._seconds * 1000 / max(1, self._events),
            rewritten_per_event=self._each(total.rewritten, self._paid.rewritten),
            bytes_per_product=None if total.nbytes is None else total.nbytes / max(1, len(live)),
            resident_mb=resident / 1e6,
        )

    def _recalls(self, live: Slots, k: int, seed: int) -> tuple[float | None, float]:
        """Of lists and of queries."""
        vectors, sample = self._places.vectors, sampled(live, LISTS, seed)
        asked = noisy(vectors[sample[:QUERIES]], NOISE, seed) if self._queries is None else self._queries[:QUERIES]
        near, found = self._contender.lists(sample), self._contender.query(asked, k)
        lists = None if near is None else list_recall(vectors, live, sample, near)
        return lists, query_recall(vectors, live, asked, found)

    def _each(self, total: int | None, paid: int | None) -> float | None:
        return None if total is None or paid is None else (total - paid) / max(1, self._events)


def sampled(live: Slots, most: int, seed: int) -> Slots:
    """So many of the living, or all, the same for the same seed."""
    return np.random.default_rng(seed).permutation(live)[:most]
