"""The neighbour graph against the exact answer, and its invariants, after any sequence of operations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumer.exact import ExactIndex
from consumer.hnsw import HnswIndex
from consumer.neighbours import EMPTY, MARGIN, NeighbourGraph
from consumer.ports import Index
from consumer.types import Slots, Vectors

DIM = 4
K, SLACK = 3, 2


def unit(rows: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Vectors:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def array(slots: list[int]) -> Slots:
    return np.array(slots, np.int32)


class Model:
    """A catalogue as plain dictionaries, and the exact lists by brute force."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.vectors: dict[int, Vectors] = {}
        self.visible: set[int] = set()

    def exact(self, slot: int) -> list[float]:
        others = [float(self.vectors[slot] @ self.vectors[z]) for z in self.visible if z != slot]
        return sorted(others, reverse=True)[: self.k]


def check_lists(graph: NeighbourGraph, model: Model) -> None:
    slots = array(sorted(model.vectors))
    near, similarities = graph.best(slots)
    for slot, row, scores in zip(slots.tolist(), near.tolist(), similarities.tolist(), strict=True):
        named = [z for z in row if z >= 0]
        assert slot not in named
        assert len(set(named)) == len(named)
        assert set(named) <= model.visible
        assert scores[: len(named)] == pytest.approx(model.exact(slot), abs=1e-5)


def check_invariants(graph: NeighbourGraph, model: Model) -> None:
    """Links mirror lists; the radius of a list is a promise that nothing nearer is missing."""
    rows, width = graph.rows, graph.width
    linked = set()
    for z in range(len(rows.head)):
        link = int(rows.head[z])
        while link >= 0:
            linked.add((link // width, link % width, z))
            link = int(rows.after[link])
    listed = {(y, s, int(rows.near[y, s])) for y in range(len(rows.filled)) for s in range(int(rows.filled[y]))}
    assert linked == listed
    for y in model.vectors:
        named = set(rows.near[y, : rows.filled[y]].tolist())
        for z in model.visible - named - {y}:
            assert 1 - float(model.vectors[y] @ model.vectors[z]) >= float(rows.radius[y]) - 1e-5


class Churn(RuleBasedStateMachine):
    """Creates, edits, deletes and availability flips, alone and in batches.

    The catalogue is no larger than the search of a join is wide, where the join misses nothing; for larger ones
    the share that it finds is tested below.
    """

    def __init__(self) -> None:
        super().__init__()
        self.graph = NeighbourGraph(ExactIndex(DIM), DIM, k=K, slack=SLACK)
        self.model = Model(k=K)
        self.published: dict[int, list[tuple[int, float]]] = {}
        self.free = 0

    def apply(self, dropped: Slots, hidden: Slots, shown: Slots, placed: Slots, vectors: Vectors) -> None:
        """Publish only what the graph says has changed."""
        touched = self.graph.apply(dropped, hidden, shown, placed, vectors)
        assert len(set(touched.tolist())) == len(touched)
        for slot in dropped.tolist():
            del self.published[slot]
        self.published.update(self.lists(touched))

    def lists(self, slots: Slots) -> dict[int, list[tuple[int, float]]]:
        near, similarities = self.graph.best(slots)
        pairs = [list(zip(*row, strict=True)) for row in zip(near.tolist(), similarities.tolist(), strict=True)]
        return dict(zip(slots.tolist(), pairs, strict=True))

    def place(self, slots: list[int], seed: int, visible: list[bool]) -> None:
        random = np.random.default_rng(seed)
        vectors = unit(random.integers(-2, 3, size=(len(slots), DIM)) + np.full(DIM, 0.1))
        shown = [slot for slot, is_visible in zip(slots, visible, strict=True) if is_visible]
        self.apply(EMPTY, EMPTY, array(shown), array(slots), vectors)
        self.model.vectors.update(zip(slots, vectors, strict=True))
        self.model.visible = (self.model.visible - set(slots)) | set(shown)

    @precondition(lambda self: len(self.model.vectors) + 6 <= K + SLACK + MARGIN)
    @rule(seed=st.integers(0, 10_000), visible=st.lists(st.booleans(), min_size=1, max_size=6))
    def create(self, seed: int, visible: list[bool]) -> None:
        slots = list(range(self.free, self.free + len(visible)))
        self.free += len(visible)
        self.place(slots, seed, visible)

    @precondition(lambda self: self.model.vectors)
    @rule(seed=st.integers(0, 10_000), data=st.data())
    def edit(self, seed: int, data: st.DataObject) -> None:
        slots = data.draw(st.lists(st.sampled_from(sorted(self.model.vectors)), unique=True, max_size=4))
        self.place(slots, seed, [slot % 3 != 0 for slot in slots])

    @precondition(lambda self: self.model.vectors)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        slots = data.draw(st.lists(st.sampled_from(sorted(self.model.vectors)), unique=True, max_size=6))
        self.apply(array(slots), EMPTY, EMPTY, EMPTY, np.empty((0, DIM), np.float32))
        for slot in slots:
            del self.model.vectors[slot]
            self.model.visible.discard(slot)

    @precondition(lambda self: self.model.vectors)
    @rule(data=st.data())
    def flip(self, data: st.DataObject) -> None:
        slots = data.draw(st.lists(st.sampled_from(sorted(self.model.vectors)), unique=True, max_size=4))
        hidden = [slot for slot in slots if slot in self.model.visible]
        shown = [slot for slot in slots if slot not in self.model.visible]
        self.apply(EMPTY, array(hidden), array(shown), EMPTY, np.empty((0, DIM), np.float32))
        self.model.visible ^= set(slots)

    @invariant()
    def nothing_changed_unsaid(self) -> None:
        assert self.published == self.lists(array(sorted(self.model.vectors)))

    @invariant()
    def lists_are_exact(self) -> None:
        check_lists(self.graph, self.model)
        check_invariants(self.graph, self.model)
        if self.model.vectors:
            assert self.graph.recall(array(sorted(self.model.vectors))) == 1.0


TestChurn = Churn.TestCase
TestChurn.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)


def clustered(n: int, dim: int, seed: int) -> Vectors:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(40, dim))
    return unit(centres[random.integers(0, 40, n)] + 0.5 * random.normal(size=(n, dim)))


@pytest.mark.parametrize("make_index", [HnswIndex, ExactIndex])
@pytest.mark.parametrize("batch", [1, 64])
def test_recall_after_ten_thousand_random_changes(make_index: Callable[[int], Index], batch: int) -> None:
    dim, products, events = 32, 2000, 10_000
    random = np.random.default_rng(7)
    pool = clustered(products + events, dim, 1)
    graph = NeighbourGraph(make_index(dim), dim, k=10, slack=20)
    first = np.arange(products, dtype=np.int32)
    graph.apply(EMPTY, EMPTY, first, first, pool[:products])
    state = dict.fromkeys(range(products), True)
    free: list[int] = []
    for start in range(products, products + events, batch):
        _random_batch(graph, state, free, pool[start : start + batch], random)
    slots = array(list(state))
    assert graph.recall(slots) >= 0.995
    near, _ = graph.best(slots)
    assert all(state[z] for z in set(near.ravel().tolist()) - {-1})


def _random_batch(
    graph: NeighbourGraph,
    state: dict[int, bool],
    free: list[int],
    vectors: Vectors,
    random: np.random.Generator,
) -> None:
    """One random change of another product for each vector; ``state`` is slot -> visible."""
    chosen = random.choice(list(state), len(vectors), replace=False).tolist()
    kinds = random.choice(["create", "edit", "delete", "flip"], len(vectors), p=[0.25, 0.35, 0.2, 0.2])
    placed, rows, hidden, shown, dropped = [], [], [], [], []
    fresh = max(state) + 1
    for row, (slot, kind) in enumerate(zip(chosen, kinds, strict=True)):
        if kind == "delete":
            dropped.append(slot)
        elif kind == "flip":
            (hidden if state[slot] else shown).append(slot)
        else:
            rows.append(row)
            if kind == "create" and free:
                placed.append(free.pop())
            elif kind == "create":
                placed.append(fresh)
                fresh += 1
            else:
                placed.append(slot)
    visible = [slot for slot in placed if state.get(slot, True)]
    graph.apply(array(dropped), array(hidden), array(shown + visible), array(placed), vectors[rows])
    state.update(dict.fromkeys(hidden, False) | dict.fromkeys(shown, True))
    state.update({slot: state.get(slot, True) for slot in placed})
    for slot in dropped:
        del state[slot]
    free += dropped
