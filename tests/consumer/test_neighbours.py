"""The neighbour graph against the exact answer, and its invariants, after any sequence of operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consumer.exact import ExactIndex
from consumer.hnsw import HnswIndex
from consumer.kernels import CHUNK
from consumer.metric import placed, scores
from consumer.neighbours import NeighbourGraph
from consumer.ports import Index
from consumer.sites import EMPTY, SiteGraph
from consumer.types import Metric, Slots, Vectors

DIM = 4
K, SLACK = 3, 2
NO_VECTORS = np.empty((0, DIM), np.float32)
NO_FILE = Path("an exact index writes none")


def array(slots: list[int]) -> Slots:
    return np.array(slots, np.int32)


def id_of(slot: int) -> str:
    """Ids in another order than slots."""
    return f"{slot * 7919 % 1000:04}"


class Model:
    """A catalogue as plain dictionaries, and the exact lists by brute force."""

    def __init__(self, k: int, metric: Metric) -> None:
        self.k = k
        self.metric = metric
        self.vectors: dict[int, Vectors] = {}
        self.visible: set[int] = set()

    def squared(self, slot: int, other: int) -> float:
        return float(((self.vectors[slot].astype(np.float64) - self.vectors[other]) ** 2).sum())

    def exact(self, slot: int) -> list[float]:
        nearest = sorted(self.squared(slot, other) for other in self.visible if other != slot)[: self.k]
        return scores(self.metric, np.array(nearest, np.float32)).tolist()

    def twins(self, slot: int) -> list[int]:
        """Visible products with the same vector in the order of their ids, round from the product's own id."""
        same = [z for z in self.visible if z != slot and self.vectors[z].tobytes() == self.vectors[slot].tobytes()]
        return sorted(same, key=lambda z: (id_of(z) < id_of(slot), id_of(z)))[: self.k]


def check_lists(graph: NeighbourGraph, model: Model) -> None:
    slots = array(sorted(model.vectors))
    near, found = graph.best(slots)
    for slot, row, similarities in zip(slots.tolist(), near.tolist(), found.tolist(), strict=True):
        named = [z for z in row if z >= 0]
        twins = model.twins(slot)
        assert slot not in named
        assert len(set(named)) == len(named)
        assert set(named) <= model.visible
        assert named[: len(twins)] == twins
        assert similarities[: len(named)] == pytest.approx(model.exact(slot), abs=1e-5)


def links(graph: SiteGraph) -> Counter[tuple[int, int]]:
    """(lister, listed) of all reverse links."""
    rows, found = graph.rows, Counter[tuple[int, int]]()
    for z in range(len(rows.head)):
        chunk, left = int(rows.head[z]), int(rows.degree[z])
        used = (left - 1) % CHUNK + 1
        while left:
            found.update((int(y), z) for y in rows.chunks[chunk, :used])
            left, chunk, used = left - used, int(rows.chunks[chunk, CHUNK]), CHUNK
    return found


def check_invariants(graph: SiteGraph) -> None:
    """Links mirror lists; the radius of a list is a promise that nothing nearer is missing."""
    rows = graph.rows
    listed = Counter((y, int(z)) for y in range(graph.capacity) for z in rows.near[y, : rows.filled[y]])
    assert links(graph) == listed
    everybody = set(np.flatnonzero(graph.visible).tolist())
    entered = [site for site in rows.table.tolist() if site >= 0]
    assert len(set(entered)) == len(entered) == len(graph)
    assert rows.pool[1] <= len(rows.chunks)
    for y in entered:
        if np.isinf(rows.radius[y]):
            assert everybody - {y} == set(rows.near[y, : rows.filled[y]].tolist())
        missing = sorted(everybody - set(rows.near[y, : rows.filled[y]].tolist()) - {y})
        squared = ((rows.vectors[y].astype(np.float64) - rows.vectors[missing]) ** 2).sum(axis=1)
        assert (squared >= float(rows.radius[y]) * (1 - 1e-5)).all()


class Churn(RuleBasedStateMachine):
    """Creates, edits, deletes and availability flips, alone and in batches, many of them of twins, on the exact index."""

    @initialize(
        metric=st.sampled_from(["cosine", "euclidean"]),
        variety=st.sampled_from([1, 2, 4, 1000]),
        slack=st.sampled_from([0, SLACK, 14]),
        capacity=st.sampled_from([2, 1024]),
    )
    def start(self, metric: Metric, variety: int, slack: int, capacity: int) -> None:
        self.fresh = lambda: NeighbourGraph(ExactIndex(DIM), DIM, K, slack, id_of, metric, capacity)
        self.graph = self.fresh()
        self.model = Model(K, metric)
        self.variety = variety
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
        raw = random.normal(size=(len(slots), DIM))
        if self.variety < 1000:
            raw = np.random.default_rng(0).normal(size=(self.variety, DIM))[
                random.integers(self.variety, size=len(slots))
            ]
        vectors = placed(self.model.metric, raw)
        shown = [slot for slot, is_visible in zip(slots, visible, strict=True) if is_visible]
        self.apply(EMPTY, EMPTY, array(shown), array(slots), vectors)
        self.model.vectors.update(zip(slots, vectors, strict=True))
        self.model.visible = (self.model.visible - set(slots)) | set(shown)

    @rule(seed=st.integers(0, 10_000), visible=st.lists(st.booleans(), min_size=1, max_size=12))
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
        slots = data.draw(st.lists(st.sampled_from(sorted(self.model.vectors)), unique=True, max_size=8))
        self.apply(array(slots), EMPTY, EMPTY, EMPTY, NO_VECTORS)
        for slot in slots:
            del self.model.vectors[slot]
            self.model.visible.discard(slot)

    @precondition(lambda self: self.model.vectors)
    @rule(data=st.data())
    def flip(self, data: st.DataObject) -> None:
        slots = data.draw(st.lists(st.sampled_from(sorted(self.model.vectors)), unique=True, max_size=4))
        hidden = [slot for slot in slots if slot in self.model.visible]
        shown = [slot for slot in slots if slot not in self.model.visible]
        self.apply(EMPTY, array(hidden), array(shown), EMPTY, NO_VECTORS)
        self.model.visible ^= set(slots)

    @precondition(lambda self: self.model.vectors)
    @rule(data=st.data())
    def everything_at_once(self, data: st.DataObject) -> None:
        """One batch with an edit, a delete, a flip and a create, of products that may be twins."""
        slots = data.draw(st.lists(st.sampled_from(sorted(self.model.vectors)), unique=True, max_size=6))
        edited, dropped, flipped = slots[::3], slots[1::3], slots[2::3]
        hidden = [slot for slot in flipped if slot in self.model.visible]
        shown = [slot for slot in flipped if slot not in self.model.visible]
        placed_ = [*edited, self.free]
        self.free += 1
        sources = [data.draw(st.sampled_from(sorted(self.model.vectors))) for _ in placed_]
        vectors = np.array([self.model.vectors[slot] for slot in sources], np.float32)
        self.apply(array(dropped), array(hidden), array([*shown, *placed_]), array(placed_), vectors)
        self.model.vectors.update(zip(placed_, vectors, strict=True))
        self.model.visible = (self.model.visible - set(dropped) - set(hidden)) | set(shown) | set(placed_)
        for slot in dropped:
            del self.model.vectors[slot]

    @rule(moves=st.integers(1, 5))
    def maintain(self, moves: int) -> None:
        self.graph.maintain(moves)

    @rule()
    def restart(self) -> None:
        """What was published stays, to the bit: see the invariant."""
        arrays = self.graph.save(NO_FILE)
        self.graph = self.fresh()
        self.graph.restore(arrays, NO_FILE)

    @invariant()
    def nothing_changed_unsaid(self) -> None:
        assert self.published == self.lists(array(sorted(self.model.vectors)))

    @invariant()
    def lists_are_exact(self) -> None:
        check_lists(self.graph, self.model)
        check_invariants(self.graph.sites)
        if self.model.vectors:
            assert self.graph.recall(array(sorted(self.model.vectors))).min() == 1.0


TestChurn = Churn.TestCase
TestChurn.settings = settings(max_examples=100, stateful_step_count=30)


def clustered(n: int, dim: int, seed: int) -> Vectors:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(40, dim))
    return placed("cosine", centres[random.integers(0, 40, n)] + 0.5 * random.normal(size=(n, dim)))


@pytest.mark.parametrize("make_index", [HnswIndex, ExactIndex])
@pytest.mark.parametrize("batch", [1, 64])
def test_recall_after_ten_thousand_random_changes(make_index: Callable[[int], Index], batch: int) -> None:
    dim, products, events = 32, 2000, 10_000
    if make_index is ExactIndex:
        products, events = 300, 2000
    random = np.random.default_rng(7)
    pool = clustered(products + events, dim, 1)
    graph = NeighbourGraph(make_index(dim), dim, 10, 20, str)
    first = np.arange(products, dtype=np.int32)
    graph.apply(EMPTY, EMPTY, first, first, pool[:products])
    state = dict.fromkeys(range(products), True)
    free: list[int] = []
    for start in range(products, products + events, batch):
        _random_batch(graph, state, free, pool[start : start + batch], random)
    slots = array(list(state))
    assert graph.recall(slots).mean() >= (1.0 if make_index is ExactIndex else 0.998)
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


def filled(n: int, index: Index | None = None, dim: int = 8, seed: int = 0) -> tuple[NeighbourGraph, Vectors]:
    graph = NeighbourGraph(index or HnswIndex(dim), dim, 10, 20, str)
    vectors = clustered(n, dim, seed)
    for start in range(0, n, 1000):
        slots = np.arange(start, min(n, start + 1000), dtype=np.int32)
        graph.apply(EMPTY, EMPTY, slots, slots, vectors[slots])
    return graph, vectors


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_batch_size_and_order_do_not_change_the_lists(seed: int, sizes: list[int]) -> None:
    """The same creates one by one, shuffled, and in batches of any size; ids stand for products, slots do not."""
    n = sum(sizes)
    vectors = placed("cosine", np.random.default_rng(seed).normal(size=(n, DIM)))
    vectors[n // 2 :] = vectors[: n - n // 2]

    def lists(order: list[int], batches: list[int]) -> dict[int, list[int]]:
        graph = NeighbourGraph(ExactIndex(DIM), DIM, K, SLACK, lambda slot: f"{order[slot]:04}")
        start = 0
        for size in batches:
            slots = np.arange(start, start + size, dtype=np.int32)
            graph.apply(EMPTY, EMPTY, slots, slots, vectors[np.array(order)[slots]])
            start += size
        near, _ = graph.best(np.arange(n, dtype=np.int32))
        return {order[slot]: [order[z] if z >= 0 else -1 for z in row] for slot, row in enumerate(near.tolist())}

    shuffled = np.random.default_rng(seed).permutation(n).tolist()
    expected = lists(list(range(n)), [1] * n)
    assert lists(list(range(n)), sizes) == expected
    assert lists(shuffled, sizes) == expected


def test_the_same_events_give_the_same_lists_to_the_bit() -> None:
    results = []
    for _ in range(2):
        graph, _ = filled(3000)
        slots = np.arange(0, 3000, 3, dtype=np.int32)
        graph.apply(slots, EMPTY, EMPTY, EMPTY, np.empty((0, 8), np.float32))
        results.append(graph.best(np.arange(1, 3000, 3, dtype=np.int32)))
    assert (results[0][0] == results[1][0]).all()
    assert (results[0][1] == results[1][1]).all()


def test_ten_thousand_identical_products_cost_what_one_costs() -> None:
    """Each change touches no more lists than name it, and costs no more distances than a product that is alone."""
    graph, vectors = filled(500)
    slots = np.arange(500, 10_500, dtype=np.int32)
    graph.apply(EMPTY, EMPTY, slots, slots, np.tile(vectors[:1], (10_000, 1)))
    near, found = graph.best(slots)
    assert (found == 1).all()
    named = Counter(near.ravel().tolist())
    assert max(named.values()) == 10, "twins name each other evenly"
    distances = graph.distances
    for slot in (500, 5000, 10_499):
        touched = graph.apply(EMPTY, array([slot]), EMPTY, EMPTY, np.empty((0, 8), np.float32))
        assert len(touched) <= 60
        assert not (graph.best(slots)[0] == slot).any()
        touched = graph.apply(EMPTY, EMPTY, array([slot]), EMPTY, np.empty((0, 8), np.float32))
        assert len(touched) <= 60
    assert graph.distances == distances
    assert len(graph.sites) == 500
    graph.apply(slots[5:], EMPTY, EMPTY, EMPTY, np.empty((0, 8), np.float32))
    assert graph.recall(np.arange(505, dtype=np.int32)).min() == 1.0


def test_hidden_twins_that_go_change_no_list() -> None:
    graph, vectors = filled(100)
    slots = np.arange(100, 1100, dtype=np.int32)
    graph.apply(EMPTY, EMPTY, slots[:5], slots, np.tile(vectors[:1], (1000, 1)))
    before = graph.best(np.arange(1000, dtype=np.int32))
    assert len(graph.apply(slots[990:], EMPTY, EMPTY, EMPTY, np.empty((0, 8), np.float32))) == 0
    assert (graph.best(np.arange(1000, dtype=np.int32))[0] == before[0]).all()


@pytest.mark.parametrize(("k", "slack"), [(1, 0), (10, 15), (20, 20), (50, 20), (3, 12)])
def test_there_are_chunks_enough_for_lists_of_any_width(k: int, slack: int) -> None:
    graph = SiteGraph(ExactIndex(8), 8, k, slack, capacity=200)
    for start in range(0, 200, 50):
        graph.begin()
        _, new = graph.locate(np.random.default_rng(start).normal(size=(50, 8)).astype(np.float32))
        graph.apply(EMPTY, new, new)
    assert graph.capacity == 200
    check_invariants(graph)


@pytest.mark.parametrize("at_once", [1, 7, 240, 3000])
def test_everything_may_be_deleted(at_once: int) -> None:
    """In order and at random: the index compacts in the meantime, at times with nobody left to move."""
    graph, _ = filled(3000)
    for start in range(0, 3000, at_once):
        gone = np.arange(start, min(3000, start + at_once), dtype=np.int32)
        graph.apply(gone, EMPTY, EMPTY, EMPTY, np.empty((0, 8), np.float32))
    assert len(graph.sites) == 0
    for _ in range(50):
        graph.maintain(64)
    slots = np.arange(50, dtype=np.int32)
    graph.apply(EMPTY, EMPTY, slots, slots, clustered(50, 8, 9))
    assert graph.recall(slots).min() == 1.0
    check_invariants(graph.sites)


def test_few_living_among_many_dead_know_whom_they_do_not_know() -> None:
    """hnswlib often reaches too few of them; a list that does not name everybody must not believe that it does."""
    graph, _ = filled(31)
    random = np.random.default_rng(3)
    for _ in range(900):
        slot = random.integers(31, size=1).astype(np.int32)
        graph.apply(EMPTY, EMPTY, slot, slot, clustered(1, 8, int(random.integers(1 << 30))))
    check_invariants(graph.sites)
    assert graph.recall(np.arange(31, dtype=np.int32)).min() == 1.0


def test_equal_distances_are_in_the_same_order_after_rows_moved() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(7.0)] * 4), axis=-1).reshape(-1, 4).astype(np.float32)
    graph = NeighbourGraph(ExactIndex(4), 4, K, 40, str, "euclidean", capacity=16)
    slots = np.arange(len(grid), dtype=np.int32)
    graph.apply(EMPTY, EMPTY, slots, slots, grid)
    graph.apply(slots[:2000], EMPTY, EMPTY, EMPTY, NO_VECTORS)
    before = graph.best(slots[2000:])
    for _ in range(30):
        graph.maintain(50)
    assert graph.sites.capacity < 1000
    assert (graph.best(slots[2000:])[0] == before[0]).all()


def test_both_zeros_are_one_place() -> None:
    graph = NeighbourGraph(ExactIndex(2), 2, K, SLACK, str, "euclidean")
    slots = np.arange(2, dtype=np.int32)
    graph.apply(EMPTY, EMPTY, slots, slots, np.array([[1, 0.0], [1, -0.0]], np.float32))
    assert len(graph.sites) == 1


def test_arrays_shrink_when_most_products_go() -> None:
    graph, _ = filled(9000)
    large = graph.nbytes()
    gone = np.setdiff1d(np.arange(9000), np.arange(0, 9000, 9)).astype(np.int32)
    graph.apply(gone, EMPTY, EMPTY, EMPTY, np.empty((0, 8), np.float32))
    left = np.arange(0, 9000, 9, dtype=np.int32)
    before = graph.best(left)
    for turn in range(200):
        graph.maintain(50)
        if turn in (3, 10):
            check_invariants(graph.sites)
    check_invariants(graph.sites)
    assert graph.sites.capacity <= 2 * len(left)
    assert graph.nbytes() < large / 3
    assert (graph.best(left)[0] == before[0]).all()
    slots = np.arange(9000, 9500, dtype=np.int32)
    graph.apply(EMPTY, EMPTY, slots, slots, clustered(500, 8, 5))
    check_invariants(graph.sites)
    assert graph.recall(np.concatenate([left, slots])).mean() >= 0.999


def test_heal_makes_a_wrong_list_right() -> None:
    graph, _ = filled(400, dim=16)
    slots = np.arange(400, dtype=np.int32)
    rows = graph.sites.rows
    for site in range(0, 400, 7):
        rows.radius[site] = 0
        rows.dist[site, : rows.filled[site]] += 1
    wrong = graph.recall(slots)
    assert wrong.min() < 1
    touched = graph.heal(slots[wrong < 1])
    assert set(touched.tolist()) == set(np.flatnonzero(wrong < 1).tolist())
    assert graph.recall(slots).min() == 1.0
    check_invariants(graph.sites)


def test_sites_are_found_again_whatever_left_before_them() -> None:
    graph = SiteGraph(HnswIndex(8), 8, 3, 2)
    vectors = clustered(900, 8, 0)
    random = np.random.default_rng(1)
    graph.begin()
    sites, new = graph.locate(vectors)
    assert sorted(new.tolist()) == sorted(sites.tolist())
    for _ in range(20):
        gone = random.choice(900, 300, replace=False)
        left = np.setdiff1d(np.arange(900), gone)
        graph.release(sites[gone])
        found, new = graph.locate(vectors[left])
        assert not len(new)
        assert (found == sites[left]).all()
        graph.apply(EMPTY, EMPTY, EMPTY)
        graph.begin()
        sites[gone], new = graph.locate(vectors[gone])
        assert len(new) == 300
    assert len(graph) == 900


def test_stamps_start_again_before_they_overflow() -> None:
    graph, _ = filled(300)
    graph.sites._journal.size[2:4] = 2**31 - 2
    slots = np.arange(300, 400, dtype=np.int32)
    graph.apply(EMPTY, EMPTY, slots, slots, clustered(100, 8, 3))
    assert graph.sites._journal.size[2] == 1
    assert graph.recall(np.arange(400, dtype=np.int32)).mean() >= 0.999


def test_hidden_products_keep_a_list_and_are_on_none() -> None:
    graph, _ = filled(100, ExactIndex(8))
    graph.apply(EMPTY, array([3, 4, 5]), EMPTY, EMPTY, np.empty((0, 8), np.float32))
    near, _ = graph.best(np.arange(100, dtype=np.int32))
    assert not np.isin(near, [3, 4, 5]).any()
    assert (near[3] >= 0).all()


def test_search_names_all_twins_and_pads() -> None:
    graph = NeighbourGraph(HnswIndex(2), 2, 3, 2, str)
    slots = np.arange(4, dtype=np.int32)
    graph.apply(EMPTY, EMPTY, slots, slots, np.array([[1, 0], [1, 0], [0, 1], [1, 0]], np.float32))
    near, found = graph.search(np.array([[1, 0]], np.float32), 6)
    assert near[0].tolist() == [0, 1, 3, 2, -1, -1]
    assert found[0].tolist() == [1, 1, 1, 0, -np.inf, -np.inf]


def test_euclidean_scores_are_negated_distances() -> None:
    graph = NeighbourGraph(HnswIndex(2), 2, 3, 2, str, "euclidean")
    slots = np.arange(3, dtype=np.int32)
    graph.apply(EMPTY, EMPTY, slots, slots, np.array([[0, 0], [3, 4], [0, 2]], np.float32))
    near, found = graph.best(slots[:1])
    assert near[0].tolist() == [2, 1, -1]
    assert found[0].tolist() == [-2, -5, -np.inf]
