"""What the tests of the commands and of the HTTP side share: a shell, a catalogue, a service made up."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
import redis
from prometheus_client import CollectorRegistry, Counter
from typer.testing import CliRunner

from consumer import http, keys, snapshot
from consumer.__main__ import build_app
from consumer.catalogue import Catalogue
from consumer.exact import ExactIndex
from consumer.neighbours import NeighbourGraph
from consumer.ports import Index
from consumer.sites import EMPTY
from consumer.types import Export, Generation, Record, Upsert
from producer.events import Product


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Kinstream = Callable[..., Ended]


@pytest.fixture
def kinstream(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kinstream:
    """Run a command with nothing set but the state folder, and no service on this machine."""
    for name in [name for name in os.environ if name.startswith("KINSTREAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KINSTREAM_STATE", str(tmp_path))
    monkeypatch.setenv("KINSTREAM_METRICS_PORT", "0")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("consumer.commands.logs.configure_logs", lambda: None)

    def invoke(*arguments: str) -> Ended:
        result = CliRunner().invoke(build_app(), arguments)
        assert isinstance(result.exception, SystemExit | None), result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses: bound, but nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def export() -> Export:
    """Three available products in a plane, and one that is not; k is 2."""
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], np.float32)
    generation = Generation(name="g1", model="one", dim=2, k=2, created_at=1.0)
    return Export(generation, ["a", "b", "c", "off"], vectors, np.array([True, True, True, False]))


class State:
    """Catalogue and graph of an export, and what a snapshot of them says."""

    def __init__(self, export: Export, index: Index | None = None, slack: int = 3) -> None:
        generation = export.generation
        self.catalogue = Catalogue()
        self.graph = NeighbourGraph(
            ExactIndex(generation.dim) if index is None else index,
            generation.dim,
            generation.k,
            slack,
            self.catalogue.id_of,
            generation.metric,
        )
        self.made = snapshot.Made(
            generation=generation, slack=slack, index="exact", fact_attributes=["promotion"], digest="abc"
        )
        self.place = snapshot.Place(topic="products", topic_id="t1", offsets={("products", 0): 7, ("products", 2): 1})
        for number, id in enumerate(export.ids):
            self.put(id, number, available=bool(export.available[number]))
        slots = self.catalogue.slots()
        if len(slots):
            self.graph.apply(EMPTY, EMPTY, slots[export.available], slots, export.vectors)

    def put(self, id: str, number: int, *, available: bool = True) -> None:
        product = Product(id=id, title=f"Title {id}", available=available)
        record = Record("products", 0, number, 1.0, id.encode(), b"")
        card = {"title": f"Title {id}", "available": str(available).lower()} | ({"price": "1"} if number % 2 else {})
        self.catalogue.put(Upsert(product, record, number.to_bytes(16, "big"), 2**64 - 1 - number, None, True), card)

    def empty(self, index: Index | None = None) -> State:
        """A state to restore into."""
        nothing = Export(
            self.made.generation, [], np.empty((0, self.made.generation.dim), np.float32), np.array([], bool)
        )
        return State(nothing, index)

    def save(self, folder: Path, now: float = 1000.0) -> Path:
        return snapshot.write(folder, self.made, self.place, self.catalogue, self.graph, now)


@pytest.fixture
def state() -> type[State]:
    return State


@pytest.fixture
def stored(
    redis_url: str, export: Export, monkeypatch: pytest.MonkeyPatch, kinstream: Kinstream
) -> Iterator[redis.Redis]:
    """The right lists of the export in Redis, live, and the setting that leads there."""
    monkeypatch.setenv("KINSTREAM_REDIS", redis_url)
    lists = {
        "a": {"b": 0.8, "c": 0.0},
        "b": {"a": 0.8, "c": 0.6},
        "c": {"b": 0.6, "a": 0.0},
        "off": {"b": 0.96, "c": 0.8},
    }
    meta = {"model": "one", "dim": 2, "metric": "cosine", "k": 2, "products": 4, "created_at": "1.0"}
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        for id, members in lists.items():
            client.zadd(keys.list_key("g1", id), cast(Any, members))
            card = {"title": f"[red]Title {id}[/red]", "price": "9.5", "currency": "EUR", "seen_at": "1.0"}
            client.hset(keys.card_key("g1", id), mapping=cast(Any, card))
        client.hset(keys.meta_key("g1"), mapping=cast(Any, meta | {"state": "live"}))
        client.hset(keys.meta_key("g2"), mapping=cast(Any, meta | {"state": "ready", "created_at": "2.0"}))
        client.set(keys.live_key(), "g1")
        yield client


class FakeRunning:
    """Answers what the test sets."""

    def __init__(self) -> None:
        vectors = np.eye(3, 4, dtype=np.float32)
        generation = Generation(name="g1", model="none", dim=4, k=10)
        self.exported = Export(generation, ["a", "b", "ü"], vectors, np.array([True, False, True]))
        self.reasons: dict[str, str | None] = {"caught_up": None, "kafka": None, "redis": None}
        self.idle = 0.5
        self.asked: list[tuple[str | None, bytes | None, int]] = []
        self.failure: Exception | None = None

    def export(self) -> Export:
        if self.failure is not None:
            raise self.failure
        return self.exported

    def search(self, text: str | None, image: bytes | None, k: int) -> list[tuple[str, float]]:
        self.asked.append((text, image, k))
        if self.failure is not None:
            raise self.failure
        return [("a", 0.75), ("ü", 0.5)]

    def generation_name(self) -> str:
        return "g1"

    def checks(self) -> dict[str, str | None]:
        return self.reasons

    def idle_seconds(self) -> float:
        return self.idle


@pytest.fixture
def running() -> FakeRunning:
    return FakeRunning()


@pytest.fixture
def server(running: FakeRunning) -> Iterator[http.HttpServer]:
    registry = CollectorRegistry()
    Counter("kinstream_events", "Events.", registry=registry).inc(3)
    server = http.serve(0, running, registry)
    yield server
    server.close()
