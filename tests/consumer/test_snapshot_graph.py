"""A graph that was written and read back is like one that never was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from consumer.exact import ExactIndex
from consumer.hnsw import HnswIndex
from consumer.metric import placed
from consumer.neighbours import NeighbourGraph
from consumer.ports import Index
from consumer.sites import EMPTY
from consumer.types import Metric, Slots, Vectors

DIM, K, SLACK = 8, 5, 4
ROUNDS = 30
Make = Callable[[], NeighbourGraph]


class Change(NamedTuple):
    dropped: Slots
    hidden: Slots
    shown: Slots
    placed: Slots
    vectors: Vectors


def array(slots: list[int]) -> Slots:
    return np.array(slots, np.int32)


def id_of(slot: int) -> str:
    """Ids in another order than slots."""
    return f"{slot * 7919 % 10_007:05}"


class Shop:
    """Random changes: every third new vector is that of another product."""

    def __init__(self, metric: Metric, seed: int) -> None:
        self._metric = metric
        self._random = np.random.default_rng(seed)
        self._vectors: dict[int, Vectors] = {}
        self._visible: dict[int, bool] = {}
        self._next = 0

    @property
    def slots(self) -> Slots:
        return array(sorted(self._visible))

    def arrive(self, number: int) -> Change:
        new = list(range(self._next, self._next + number))
        self._next += number
        return self._change([], [], [], new)

    def change(self, number: int) -> Change:
        """A fifth goes, a fifth hides or is shown again, the others get new vectors; some are new."""
        chosen = self._random.permutation(self.slots)[:number].tolist()
        fifth = number // 5
        gone, flipped, edited = chosen[:fifth], chosen[fifth : 2 * fifth], chosen[2 * fifth :]
        hidden = [slot for slot in flipped if self._visible[slot]]
        shown = [slot for slot in flipped if not self._visible[slot]]
        new = list(range(self._next, self._next + fifth))
        self._next += fifth
        return self._change(gone, hidden, shown, edited + new)

    def leave(self, share: float) -> Change:
        """So large a part of the products goes."""
        return self._change([slot for slot in self._visible if self._random.random() < share], [], [], [])

    def _change(self, dropped: list[int], hidden: list[int], shown: list[int], new: list[int]) -> Change:
        raw = self._random.normal(size=(len(new), DIM))
        known = list(self._vectors.values())
        for row in range(0, len(new), 3):
            if known:
                raw[row] = known[self._random.integers(len(known))]
        vectors = placed(self._metric, raw).reshape(len(new), DIM)
        for slot in dropped:
            del self._vectors[slot], self._visible[slot]
        seen = [slot for slot in new if slot % 7]
        self._vectors.update(zip(new, vectors, strict=True))
        self._visible.update(dict.fromkeys(hidden + new, False) | dict.fromkeys(shown + seen, True))
        return Change(array(dropped), array(hidden), array(shown + seen), array(new), vectors)


def restarted(graph: NeighbourGraph, make: Make, folder: Path) -> NeighbourGraph:
    made = make()
    made.restore(graph.save(folder / "index"), folder / "index")
    return made


def story(shop: Shop) -> Iterator[Change]:
    """Arrivals, churn, a sale that empties most of the shop, churn in the rest, arrivals anew."""
    yield shop.arrive(1500)
    for _ in range(ROUNDS):
        yield shop.change(60)
    yield shop.leave(0.9)
    for _ in range(ROUNDS):
        yield shop.change(60)
    yield shop.arrive(500)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("make_index", [ExactIndex, HnswIndex])
def test_restarts_change_no_list(make_index: Callable[[int], Index], metric: Metric, tmp_path: Path) -> None:
    """The same events for one graph that is restarted every few batches and one that never is.

    With the exact index they stay the same to the bit. HNSW draws the levels of new elements anew after a load: its lists are
    the same right after a restart, and right later.
    """

    def make() -> NeighbourGraph:
        return NeighbourGraph(make_index(DIM), DIM, K, SLACK, id_of, metric, capacity=64)

    shop, never, often = Shop(metric, seed=3), make(), make()
    for number, change in enumerate(story(shop)):
        touched = never.apply(*change)
        touched_too = often.apply(*change)
        for graph in (never, often):
            graph.maintain(100)
        if make_index is ExactIndex:
            assert set(touched.tolist()) == set(touched_too.tolist())
            assert_same_lists(never, often, shop.slots)
        if number % 7 == 0:
            before = often
            often = restarted(before, make, tmp_path)
            assert_same_lists(before, often, shop.slots)
            assert len(often.sites) == len(before.sites)
    assert often.sites.capacity < 1200
    assert often.recall(shop.slots).mean() >= (1.0 if make_index is ExactIndex else 0.999)


def assert_same_lists(one: NeighbourGraph, other: NeighbourGraph, slots: Slots) -> None:
    for left, right in zip(one.best(slots), other.best(slots), strict=True):
        assert np.array_equal(left, right)


def test_nothing_is_restored_to_nothing(tmp_path: Path) -> None:
    def make() -> NeighbourGraph:
        return NeighbourGraph(HnswIndex(DIM), DIM, K, SLACK, str)

    graph = restarted(make(), make, tmp_path)
    shop = Shop("cosine", seed=1)
    graph.apply(*shop.arrive(50))
    assert graph.recall(shop.slots).min() == 1.0
    everything = Change(shop.slots, EMPTY, EMPTY, EMPTY, np.empty((0, DIM), np.float32))
    graph.apply(*everything)
    graph = restarted(graph, make, tmp_path)
    assert len(graph.sites) == 0
