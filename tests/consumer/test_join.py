"""What the join makes good when a search misses products: with an index that misses them on purpose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consumer.exact import ExactIndex
from consumer.neighbours import NeighbourGraph
from consumer.sites import WIDE
from consumer.types import Slots, Vectors

DIM, K, SLACK = 8, 3, 3


class ShortSighted(ExactIndex):
    """Never sees the ``hidden`` sites in a search for fewer hits than a wide one, and the ``lost`` in none."""

    exhaustive = False

    def __init__(self) -> None:
        super().__init__(DIM)
        self.hidden: set[int] = set()
        self.lost: set[int] = set()

    def search(self, vectors: Vectors, k: int) -> Slots:
        found = super().search(vectors, len(self))
        unseen = self.lost | (self.hidden if k < WIDE else set())
        kept = [[site for site in row if site not in unseen][:k] for row in found.tolist()]
        return np.array([row + [-1] * (k - len(row)) for row in kept], np.int32)


def graph_of(vectors: Vectors) -> tuple[NeighbourGraph, ShortSighted]:
    index = ShortSighted()
    graph = NeighbourGraph(index, DIM, K, SLACK, lambda slot: f"p{slot:05d}")
    add(graph, np.arange(len(vectors), dtype=np.int32), vectors)
    return graph, index


def add(graph: NeighbourGraph, slots: Slots, vectors: Vectors) -> None:
    nobody = np.empty(0, np.int32)
    graph.apply(nobody, nobody, slots, slots, vectors)


def drop(graph: NeighbourGraph, slots: Slots) -> None:
    nobody = np.empty(0, np.int32)
    graph.apply(slots, nobody, nobody, nobody, np.empty((0, DIM), np.float32))


def restored(graph: NeighbourGraph, index: ShortSighted, folder: Path) -> tuple[NeighbourGraph, ShortSighted]:
    """The same graph as after a restart, with an index as short-sighted."""
    arrays = graph.save(folder / "index")
    another = ShortSighted()
    another.hidden, another.lost = index.hidden, index.lost
    made = NeighbourGraph(another, DIM, K, SLACK, lambda slot: f"p{slot:05d}")
    made.restore(arrays, folder / "index")
    return made, another


@pytest.fixture
def vectors() -> Vectors:
    drawn = np.random.default_rng(1).normal(size=(WIDE + 50, DIM)).astype(np.float32)
    made: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return made


def test_a_near_one_that_the_search_missed_comes_on_the_list_by_those_it_lists(vectors: Vectors) -> None:
    graph, index = graph_of(vectors[:-1])
    squared = ((vectors[:-1] - vectors[-1]) ** 2).sum(axis=1)
    nearest = int(squared.argmin())
    index.hidden = {int(graph._site_of[nearest])}
    newcomer = np.array([len(vectors) - 1], np.int32)
    add(graph, newcomer, vectors[-1:])
    assert graph.best(newcomer)[0][0, 0] == nearest
    assert graph.recall(newcomer).tolist() == [1.0]


def test_a_small_group_far_from_all_others_knows_itself(vectors: Vectors) -> None:
    graph, index = graph_of(vectors)
    group = len(vectors) + np.arange(2, dtype=np.int32)
    for slot, vector in zip(group, -10 * np.abs(vectors[:2]), strict=True):
        add(graph, np.array([slot], np.int32), vector[None])
        index.hidden.add(int(graph._site_of[slot]))
    assert graph.best(group)[0][:, 0].tolist() == group[::-1].tolist()


class Lost:
    """Two halves of a catalogue far apart, and a group far from both, which each member is searched for in another half."""

    def __init__(self, vectors: Vectors) -> None:
        halves = vectors.copy()
        halves[:, 0] += np.where(np.arange(len(vectors)) % 2, 10, -10)
        self.graph, self.index = graph_of(halves)
        self._halves = [set(range(0, len(vectors), 2)), set(range(1, len(vectors), 2))]
        self._first = len(vectors)
        self._vectors = vectors[:8] / 10 + np.eye(DIM, dtype=np.float32)[1] * 10
        self._members: set[int] = set()

    def add(self, *members: int) -> Slots:
        """Members of the group that come at once."""
        slots = self._first + np.array(members, np.int32)
        self.index.lost = self._halves[members[0] % 2] | self._members
        add(self.graph, slots, self._vectors[list(members)])
        self._members.update(self.graph._site_of[slots].tolist())
        return slots

    def restart(self, folder: Path) -> None:
        self.graph, self.index = restored(self.graph, self.index, folder)


def test_a_group_that_no_search_finds_knows_itself(vectors: Vectors) -> None:
    lost = Lost(vectors)
    group = np.concatenate([lost.add(number) for number in range(6)])
    assert lost.graph.recall(group).tolist() == [1.0] * 6


def test_a_group_is_found_after_its_first_member_left_and_a_restart(vectors: Vectors, tmp_path: Path) -> None:
    lost = Lost(vectors)
    first, others = lost.add(0), np.concatenate([lost.add(number) for number in (1, 2, 3)])
    drop(lost.graph, first)
    lost.restart(tmp_path)
    last = lost.add(4)
    assert lost.graph.recall(np.concatenate([others, last])).tolist() == [1.0] * 4
