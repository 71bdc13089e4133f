"""Contenders keep the lists that they promise, and the yardstick of recall measures right."""

from __future__ import annotations

import numpy as np
import pytest
from churn import Catalogue, uneven_clusters
from contenders import CONTENDERS, Contender, Engine, Rounds, without_self
from figures import Figures
from measure import list_recall, noisy, query_recall
from trial import Trial, alternate

PRODUCTS, EVENTS, DIM, K, SLACK = 300, 300, 16, 10, 20


def made(name: str) -> Contender:
    if name == "faiss-flat":
        pytest.importorskip("faiss", reason="faiss-flat needs faiss-cpu", exc_type=ImportError)
    return CONTENDERS[name](DIM, K, SLACK)


def churned(contender: Contender, batch: int) -> Trial:
    """After as many events as there are products."""
    catalogue = Catalogue(4)
    growing, changing = catalogue.arrive(PRODUCTS), catalogue.churn(EVENTS)
    trial = Trial("", contender, uneven_clusters(catalogue.rows, DIM, 1), catalogue.slots)
    alternate([trial], growing, batch, lambda events: None)
    alternate([trial], changing, batch, lambda events: None)
    assert sorted(trial.live.tolist()) == sorted(catalogue.live.tolist())
    return trial


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("engine", 0.995, 1.0),
        ("own-list-only", 0.1, 0.8),
        ("probe-160", 0.98, 1.0),
        ("rounds", 0.1, 0.9),
        ("faiss-flat", 1.0, 1.0),
        ("one-product", 1.0, 1.0),
    ],
)
def test_recall_of_the_lists_after_churn(name: str, batch: int, least: float, most: float) -> None:
    recall = churned(made(name), batch).recall()
    assert recall is not None
    assert least <= recall <= most


@pytest.mark.parametrize("name", list(CONTENDERS))
def test_queries_find_the_nearest(name: str) -> None:
    contender = made(name)
    vectors = uneven_clusters(PRODUCTS, DIM, 2)
    slots = np.arange(PRODUCTS, dtype=np.int32)
    contender.apply(slots[:0], slots, vectors)
    contender.apply(slots[:50], slots[:0], vectors[:0])
    queries = noisy(vectors[50:80], 0.2, 1)
    assert query_recall(vectors, slots[50:], queries, contender.query(queries, K)) > 0.99


@pytest.mark.parametrize("name", list(CONTENDERS))
def test_fewer_products_than_a_list_has_room_for(name: str) -> None:
    contender = made(name)
    slots = np.arange(4, dtype=np.int32)
    contender.apply(slots[:0], slots, uneven_clusters(4, DIM, 3))
    contender.apply(slots[:1], slots[:0], np.empty((0, DIM), np.float32))
    assert set(contender.query(uneven_clusters(1, DIM, 3), K).ravel().tolist()) == {-1, 1, 2, 3}
    near = contender.lists(slots[1:])
    if name in {"engine", "probe-160", "faiss-flat", "one-product"}:
        assert near is not None
        assert [set(row) - {-1} for row in near.tolist()] == [{2, 3}, {1, 3}, {1, 2}]


def test_the_yardstick_keeps_no_lists() -> None:
    trial = churned(made("hnswlib"), 64)
    assert trial.recall() is None
    assert trial.contender.figures() == Figures(nbytes=0)


def test_a_round_makes_all_lists_right() -> None:
    rounds = Rounds(DIM, K, SLACK, every=10**9)
    trial = churned(rounds, 64)
    before = trial.recall()
    rounds.round()
    after = trial.recall()
    assert before is not None
    assert after is not None
    assert before < 0.9
    assert after > 0.99


def test_costs_are_those_of_the_events() -> None:
    catalogue = Catalogue(1)
    growing, changing = catalogue.arrive(100), catalogue.churn(40)
    trial = Trial("engine", Engine(DIM, K, SLACK), uneven_clusters(catalogue.rows, DIM, 1), catalogue.slots)
    trial.run(growing, 64)
    seen: list[int] = []
    (cost,) = alternate([trial], changing, 16, seen.append)
    assert cost.events == sum(seen) == 40
    assert cost.longest <= cost.seconds
    assert cost.distances > 0
    assert cost.rewritten > 40
    (late,) = alternate([trial], changing, 16, seen.append, deadline=0)
    assert late.events == 0


def test_recall_counts_each_right_entry_once() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], np.float32)
    live, sample = np.arange(4, dtype=np.int32), np.array([0], np.int32)
    for near, right in (([1, 2], 1.0), ([1, 3], 0.5), ([1, 1], 0.5), ([0, 1], 0.5), ([-1, -1], 0.0)):
        assert list_recall(vectors, live, sample, np.array([near], np.int32)) == right
    dead = np.array([0, 2, 3], np.int32)
    assert list_recall(vectors, dead, sample, np.array([[1, 2]], np.int32)) == 0.5


def test_without_self_keeps_the_order() -> None:
    hits, slots = np.array([[7, 3, 5], [3, 7, 5]], np.int32), np.array([3, 4], np.int32)
    np.testing.assert_array_equal(without_self(hits, slots, 3), [[7, 5, -1], [3, 7, 5]])
