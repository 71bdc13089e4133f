"""What the join makes good when a search misses products: with an index that misses them on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from consumer.exact import ExactIndex
from consumer.neighbours import NeighbourGraph
from consumer.sites import WIDE
from consumer.types import Slots, Vectors

DIM, K, SLACK = 8, 3, 3


class ShortSighted(ExactIndex):
    """Never sees the ``hidden`` sites in a search for fewer hits than a wide one."""

    exhaustive = False

    def __init__(self) -> None:
        super().__init__(DIM)
        self.hidden: set[int] = set()

    def search(self, vectors: Vectors, k: int) -> Slots:
        found = super().search(vectors, len(self))
        kept = [[site for site in row if k >= WIDE or site not in self.hidden][:k] for row in found.tolist()]
        return np.array([row + [-1] * (k - len(row)) for row in kept], np.int32)


def graph_of(vectors: Vectors) -> tuple[NeighbourGraph, ShortSighted]:
    index = ShortSighted()
    graph = NeighbourGraph(index, DIM, K, SLACK, lambda slot: f"p{slot:05d}")
    add(graph, np.arange(len(vectors), dtype=np.int32), vectors)
    return graph, index


def add(graph: NeighbourGraph, slots: Slots, vectors: Vectors) -> None:
    nobody = np.empty(0, np.int32)
    graph.apply(nobody, nobody, slots, slots, vectors)


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
    far = -10 * np.abs(vectors[:2])
    for number in range(2):
        newcomer = np.array([len(vectors) + number], np.int32)
        add(graph, newcomer, far[number : number + 1])
        index.hidden.add(int(graph._site_of[newcomer[0]]))
    first, second = len(vectors), len(vectors) + 1
    best = graph.best(np.array([first, second], np.int32))[0]
    assert best[0, 0] == second
    assert best[1, 0] == first
