"""What a snapshot costs the stream, and what it saves a start; the last line is one JSON object.

* pause_ms: the longest of several forks, all that the stream waits for.
* slowest_event_ms: the longest time of one event while a snapshot is written, beside slowest_alone_ms without one: after
  a fork, each page that an event touches is copied once.
* write_s, bytes: of the child's work and the snapshot.
* load_s: from the files to a graph that takes the next event; of it verify_s for the checksums.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import numpy as np
from churn import uneven_clusters
from rich.console import Console

from consumer import snapshot
from consumer.catalogue import Catalogue
from consumer.forking import Child, Outcome
from consumer.hnsw import HnswIndex
from consumer.neighbours import NeighbourGraph, warm_up
from consumer.sites import EMPTY
from consumer.types import Generation, Record, Upsert
from producer.events import Product

K, SLACK = 10, 20
FORKS = 3
BATCH = 500
EVENTS = 2000
RECORD = Record("products", 0, 0, 0.0, None, None)
MADE = snapshot.Made(
    generation=Generation(name="g1", model="none", dim=0, k=K),
    slack=SLACK,
    index="hnsw",
    fact_attributes=[],
    digest="none",
)
PLACE = snapshot.Place(topic="products", topic_id="1", offsets={("products", 0): 1})

Figures = dict[str, float]
console = Console(stderr=True)


def main(
    products: Annotated[int, typer.Option(help="Products in the catalogue.")] = 100_000,
    dim: Annotated[int, typer.Option(help="Dimensions of their vectors.")] = 384,
) -> None:
    vectors = uneven_clusters(products + EVENTS, dim, seed=1)
    console.print(f"{products} products of {dim} dimensions are put into the graph …")
    catalogue, graph = filled(vectors[:products])
    alone = slowest(graph, vectors[products : products + EVENTS // FORKS], lambda: False)
    with TemporaryDirectory(prefix="kinstream-snapshot-") as folder:
        figures = written(Path(folder), catalogue, graph, vectors[products:]) | loaded(Path(folder), dim)
    figures["slowest_alone_ms"] = alone * 1e3
    shown = {name: round(value, 2) for name, value in sorted(figures.items())}
    for name, value in shown.items():
        console.print(f"{name:20} {value}")
    print(json.dumps({"products": products, "dim": dim, **shown}))


def filled(vectors: np.ndarray) -> tuple[Catalogue, NeighbourGraph]:
    """A catalogue with cards, and its graph."""
    catalogue, graph = empty(vectors.shape[1])
    for number in range(len(vectors)):
        product = Product(id=f"sku-{number}", title=f"Product number {number} of a shop", price=9.99, currency="EUR")
        card = {"available": "true", "title": product.title or "", "currency": "EUR", "price": "9.99"}
        catalogue.put(Upsert(product, RECORD, number.to_bytes(16, "little"), number, None, True), card)
    for start in range(0, len(vectors), BATCH):
        slots = np.arange(start, min(start + BATCH, len(vectors)), dtype=np.int32)
        graph.apply(EMPTY, EMPTY, slots, slots, vectors[slots])
    return catalogue, graph


def empty(dim: int) -> tuple[Catalogue, NeighbourGraph]:
    catalogue = Catalogue()
    return catalogue, NeighbourGraph(HnswIndex(dim), dim, K, SLACK, catalogue.id_of)


def written(folder: Path, catalogue: Catalogue, graph: NeighbourGraph, vectors: np.ndarray) -> Figures:
    """Fork several times; each child writes while events go on."""

    def write() -> bytes:
        started = time.perf_counter()
        snapshot.write(folder, MADE, PLACE, catalogue, graph, time.time())
        return str(time.perf_counter() - started).encode()

    pauses, seconds, events = [], [], []
    for number in range(FORKS):
        started = time.perf_counter()
        child = Child(write, Lock())
        pauses.append(time.perf_counter() - started)
        outcomes: list[Outcome] = []

        def is_done(child: Child = child, outcomes: list[Outcome] = outcomes) -> bool:
            if not outcomes and (outcome := child.outcome()) is not None:
                outcomes.append(outcome)
            return bool(outcomes)

        events.append(slowest(graph, vectors[number::FORKS], is_done))
        while not is_done():
            time.sleep(0.01)
        seconds.append(float((outcomes[0].result or b"nan").decode()))
        if outcomes[0].failure:
            raise SystemExit(outcomes[0].failure)
    return {"pause_ms": max(pauses) * 1e3, "write_s": max(seconds), "slowest_event_ms": max(events) * 1e3}


def slowest(graph: NeighbourGraph, vectors: np.ndarray, is_done: Callable[[], bool]) -> float:
    """Seconds of the slowest of single events, each a new vector of one product, for as long as there are any."""
    return max(times(graph, vectors, is_done))


def times(graph: NeighbourGraph, vectors: np.ndarray, is_done: Callable[[], bool]) -> Iterator[float]:
    for number, vector in enumerate(vectors):
        slot = np.array([number * 31 % len(graph.sites)], np.int32)
        started = time.perf_counter()
        graph.apply(EMPTY, EMPTY, slot, slot, vector[None])
        yield time.perf_counter() - started
        if number % 50 == 49 and is_done():
            return


def loaded(folder: Path, dim: int) -> Figures:
    """Read the newest snapshot, its files in the page cache."""
    warm_up(HnswIndex(dim), dim)
    restored(folder, dim)  # compiles what only a load needs
    started = time.perf_counter()
    verified, nbytes = restored(folder, dim)
    return {"load_s": time.perf_counter() - started, "verify_s": verified, "bytes": nbytes}


def restored(folder: Path, dim: int) -> tuple[float, int]:
    """Seconds until the snapshot was verified, and its size."""
    started = time.perf_counter()
    found = snapshot.newest(folder, "g1", lambda manifest: None)
    assert found is not None
    verified = time.perf_counter() - started
    snapshot.restore(found, *empty(dim))
    found.close()
    return verified, found.nbytes


if __name__ == "__main__":
    typer.run(main)
