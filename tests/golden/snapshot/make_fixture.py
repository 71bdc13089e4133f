"""Makes the snapshots of the current format beside this file: `python tests/golden/snapshot/make_fixture.py`.

Run it once for a new version of the format, and never again: that an old snapshot can be read is what is tested. Beside
each snapshot are the lists that it must give, and those after one further product.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from consumer import snapshot
from consumer.catalogue import Catalogue
from consumer.exact import ExactIndex
from consumer.hnsw import HnswIndex
from consumer.neighbours import NeighbourGraph
from consumer.snapshot_manifest import FORMAT
from consumer.types import Generation, Record, Slots, Upsert
from producer.events import Product

HERE = Path(__file__).resolve().parent
DIM, K, SLACK, PRODUCTS = 4, 3, 2, 24
INDEXES = {"exact": ExactIndex, "hnsw": HnswIndex}
WAITING = [Product(id="p3", title="Product 3", image="https://example.com/p3.jpg", attributes={"sizes": ["S", "M"]})]
PLACE = snapshot.Place(topic="products", topic_id="an-id", offsets={("products", 0): 17, ("products", 3): 11})


def made(index: str) -> snapshot.Made:
    """What the fixture was made with."""
    generation = Generation(name="g1", model="golden", dim=DIM, k=K)
    return snapshot.Made(generation=generation, slack=SLACK, index=index, fact_attributes=["promotion"], digest="0123")


def empty(index: str) -> tuple[Catalogue, NeighbourGraph]:
    """What a snapshot is restored into."""
    catalogue = Catalogue()
    return catalogue, NeighbourGraph(INDEXES[index](DIM), DIM, K, SLACK, catalogue.id_of)


def vectors() -> Any:
    """Unit vectors [PRODUCTS, DIM]; the last two are twins."""
    raw = np.random.default_rng(20).normal(size=(PRODUCTS, DIM))
    raw[-1] = raw[-2]
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


def put(catalogue: Catalogue, number: int) -> None:
    """A product; every fifth is not available, every second has a version and a price."""
    known, version = number % 5 != 0, number if number % 2 else None
    product = Product(id=f"p{number}", title=f"Product {number}", available=known, version=version)
    card = {"available": str(known).lower(), "title": f"Product {number}"}
    card |= {"price": "9.5", "version": str(version)} if version is not None else {}
    record = Record("products", 0, number, 1.0, None, None)
    catalogue.put(Upsert(product, record, number.to_bytes(16, "big"), 2**63 + number, version, True), card)


def fill(catalogue: Catalogue, graph: NeighbourGraph) -> None:
    """Products come, some go, so that there are free rows and slots."""
    for number in range(PRODUCTS):
        put(catalogue, number)
    numbers = np.arange(PRODUCTS, dtype=np.int32)
    graph.apply(slots(), slots(), numbers[numbers % 5 != 0], numbers, vectors())
    gone = [catalogue.pop(id).slot for id in ("p4", "p10")]
    graph.apply(slots(*gone), slots(), slots(), slots(), np.empty((0, DIM), np.float32))


def arrive(catalogue: Catalogue, graph: NeighbourGraph) -> None:
    """One further product."""
    put(catalogue, PRODUCTS + 2)
    known = catalogue.get(f"p{PRODUCTS + 2}")
    assert known is not None
    graph.apply(slots(), slots(), slots(known.slot), slots(known.slot), np.eye(1, DIM, dtype=np.float32))


def lists(catalogue: Catalogue, graph: NeighbourGraph) -> dict[str, list[list[Any]]]:
    """All lists: (id, score) by id."""
    near, scores = graph.best(catalogue.slots())
    pairs = [zip(*row, strict=True) for row in zip(near.tolist(), scores.tolist(), strict=True)]
    named = [[[catalogue.id_of(slot), round(score, 6)] for slot, score in row if slot >= 0] for row in pairs]
    return dict(sorted(zip([id for id, _ in catalogue.items()], named, strict=True)))


def slots(*numbers: int) -> Slots:
    return np.array(numbers, np.int32)


def make(index: str, folder: Path) -> None:
    """Write a snapshot to ``folder``, and its lists beside it."""
    catalogue, graph = empty(index)
    fill(catalogue, graph)
    with TemporaryDirectory() as state:
        written = snapshot.write(Path(state), made(index), PLACE, catalogue, graph, 1_750_000_000.25, WAITING)
        shutil.copytree(written, folder)
    before = lists(catalogue, graph)
    arrive(catalogue, graph)
    text = json.dumps({"before": before, "after": lists(catalogue, graph)}, indent=1)
    folder.with_suffix(".json").write_text(text + "\n")


if __name__ == "__main__":
    target = HERE / str(FORMAT)
    if target.exists():
        sys.exit(f"{target} is there already: raise FORMAT for a new one")
    target.mkdir()
    for name in INDEXES:
        make(name, target / name)
