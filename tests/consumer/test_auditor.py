"""The auditor: what it measures, how much of the time it takes, and what it heals."""

from __future__ import annotations

from threading import Lock

import numpy as np
from prometheus_client import Gauge

from consumer.auditor import EVERY_SECONDS, MEMORY, Auditor
from consumer.catalogue import Catalogue
from consumer.exact import ExactIndex
from consumer.neighbours import NeighbourGraph
from consumer.sites import EMPTY
from consumer.types import Record, Upsert
from producer.events import Product

DIM = 8
PRODUCTS = 40
RECORD = Record("products", 0, 0, 0.0, b"", b"")


class Stopwatch:
    """Each turn of the auditor seems to take so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0.0

    def __call__(self) -> float:
        self.now += self.seconds
        return self.now


def made(share: float = 0.1, seconds: float = 0.5) -> tuple[Auditor, NeighbourGraph, Gauge]:
    catalogue = Catalogue()
    graph = NeighbourGraph(ExactIndex(DIM), DIM, 3, 2, catalogue.id_of)
    for number in range(PRODUCTS):
        product = Product(id=f"p{number}", title="t")
        catalogue.put(Upsert(product, RECORD, b"", 0, None, True), {})
    slots = np.arange(PRODUCTS, dtype=np.int32)
    vectors = np.random.default_rng(0).normal(size=(PRODUCTS, DIM)).astype(np.float32)
    graph.apply(EMPTY, EMPTY, slots, slots, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    gauge = Gauge("recall", "of a test", registry=None)
    return Auditor(graph, catalogue, gauge, Lock(), share, stopwatch=Stopwatch(seconds)), graph, gauge


def spoil(graph: NeighbourGraph) -> None:
    """No list knows how near its neighbours are any more."""
    rows = graph.sites.rows
    for site in range(PRODUCTS):
        rows.dist[site, : rows.filled[site]] += 1


def test_it_takes_no_more_than_its_share() -> None:
    auditor, graph, gauge = made(share=0.1, seconds=0.5)
    auditor.turn(100.0)
    assert gauge._value.get() == 1.0
    spoil(graph)
    auditor.turn(104.9)
    assert gauge._value.get() == 1.0
    auditor.turn(105.1)
    assert gauge._value.get() == MEMORY


def test_a_small_catalogue_is_not_audited_all_the_time() -> None:
    auditor, graph, gauge = made(seconds=0.0)
    auditor.turn(100.0)
    spoil(graph)
    auditor.turn(100.0 + EVERY_SECONDS / 2)
    assert gauge._value.get() == 1.0


def test_wrong_lists_are_healed_and_returned() -> None:
    auditor, graph, _ = made()
    slots = np.arange(PRODUCTS, dtype=np.int32)
    assert auditor.turn(0.0) is None
    spoil(graph)
    healed = auditor.turn(1000.0)
    assert healed is not None
    assert len(healed) == 16
    recall = graph.recall(slots)
    assert (recall[healed] == 1).all()
    assert recall.mean() < 1


def test_a_share_of_nothing_is_never() -> None:
    auditor, _, gauge = made(share=0.0)
    gauge.set(-1)
    assert auditor.turn(1000.0) is None
    assert gauge._value.get() == -1
