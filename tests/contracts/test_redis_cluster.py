"""What only a cluster does: one server of several restarts, and slots move."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from consumer import keys
from consumer.commands.check_redis import check_redis
from consumer.config import Settings
from consumer.errors import Fenced, ServerUnavailable, StoreLost
from consumer.generations import Generations, StoredGeneration
from consumer.reader import AsyncNeighbourReader, Neighbour, NeighbourReader
from consumer.redis import RedisStore
from consumer.types import CardWrite, Changes, Generation, ListWrite
from consumer.verification import Stored

G1 = Generation(name="g1", model="m", dim=4, k=3, created_at=5.0)
MANY = [str(number) for number in range(300)]

pytestmark = pytest.mark.servers


def products(*ids: str) -> Changes:
    cards = [CardWrite(id, {"title": "A"}) for id in ids]
    return Changes([ListWrite(id, [("b", 0.5)]) for id in ids], cards, [], len(ids))


@pytest.fixture
def store(cluster_url: str) -> Iterator[RedisStore]:
    made = RedisStore(cluster_url, "g1")
    made.open(G1)
    yield made
    made.close()


@pytest.fixture
def term(store: RedisStore) -> int:
    term = store.lead("one", 0)
    store.begin(term)
    store.write(products(*MANY), 1, term)
    return term


def elsewhere(servers: Any) -> tuple[int, str]:
    """A node that has not the meta, and an id that lies there."""
    count = len(servers.ports)
    home = keys.slot_of(keys.meta_key("g1")) * count // keys.SLOTS
    number = (home + 1) % count
    id = next(id for id in MANY if keys.slot_of(id) * count // keys.SLOTS == number)
    return servers.ports[number], id


def test_each_slot_has_its_fence() -> None:
    fences = [keys.slot_fence_key("g1", slot) for slot in range(keys.SLOTS)]
    assert [keys.slot_of(fence) for fence in fences] == list(range(keys.SLOTS))
    assert max(map(len, fences)) <= len("kin:g1:f:{fffff}")


def test_a_node_that_was_restarted_is_noticed_by_a_check(store: RedisStore, term: int, cluster_servers: Any) -> None:
    port, _ = elsewhere(cluster_servers)
    cluster_servers.kill(port)
    cluster_servers.start(port)
    cluster_servers.until(cluster_servers.whole)
    with pytest.raises(StoreLost, match=str(port)):
        store.check(term)


def test_a_node_that_was_restarted_is_noticed_by_a_write(store: RedisStore, term: int, cluster_servers: Any) -> None:
    port, id = elsewhere(cluster_servers)
    cluster_servers.kill(port)
    with pytest.raises(ServerUnavailable):
        store.write(products(id), 2, term)
    cluster_servers.start(port)
    cluster_servers.until(cluster_servers.whole)
    with pytest.raises(StoreLost):
        store.write(products(id), 2, term)
    later = store.lead("one", 0)
    store.begin(later)
    store.write(products(*MANY), 3, later)
    store.check(later)


def test_the_node_with_the_meta_is_restarted(store: RedisStore, term: int, cluster_servers: Any) -> None:
    port = cluster_servers.ports[keys.slot_of(keys.meta_key("g1")) * len(cluster_servers.ports) // keys.SLOTS]
    cluster_servers.kill(port)
    cluster_servers.start(port)
    cluster_servers.until(cluster_servers.whole)
    with pytest.raises(StoreLost):
        store.check(term)
    later = store.lead("one", term)
    store.open(G1)
    store.begin(later)
    store.write(products(*MANY), 3, later)
    store.check(later)
    assert later > term


def test_a_node_that_was_flushed_is_noticed_by_a_check(store: RedisStore, term: int, cluster_servers: Any) -> None:
    port, id = elsewhere(cluster_servers)
    with redis.Redis(port=port) as client:
        client.flushall()
    with pytest.raises(StoreLost):
        store.check(term)
    with pytest.raises(StoreLost):
        store.write(products(id), 2, term)


def test_a_replica_that_took_over_is_noticed(store: RedisStore, term: int, cluster_servers: Any) -> None:
    primary, id = elsewhere(cluster_servers)
    replica = cluster_servers.add_replica(primary)
    cluster_servers.take_over(replica, primary)
    with pytest.raises(StoreLost, match=str(replica)):
        store.check(term)
    later = store.lead("one", 0)
    store.begin(later)
    store.write(products(*MANY), 3, later)
    with redis.Redis(port=replica) as client:
        assert client.exists(keys.card_key("g1", id))
    cluster_servers.take_over(primary, replica)
    with pytest.raises(StoreLost):
        store.write(products(id), 4, later)
    cluster_servers.forget(replica)


def test_writes_follow_a_slot_that_moved_and_so_does_its_fence(
    store: RedisStore, term: int, cluster_servers: Any, cluster_url: str
) -> None:
    target, _ = elsewhere(cluster_servers)
    id = next(id for id in MANY if cluster_servers.port_of(id) != target)
    with RedisKeeper(cluster_servers, id, target):
        store.write(products(id, *MANY), 2, term)
        store.check(term)
        with NeighbourReader(cluster_url, generation="g1") as reader:
            assert (reader.card(id) or {})["seen_at"] == "2.000000"
        assert store.lead("two", 0) == 0
        other = RedisStore(cluster_url, "g1")
        other.open(G1)
        assert other.lead("one", 0) > term
        with pytest.raises(Fenced):
            store.write(products(id), 3, term)
        other.close()


class RedisKeeper:
    """Moves the slot of an id to another node, and back."""

    def __init__(self, servers: Any, id: str, target: int) -> None:
        self._servers, self._slot, self._ports = servers, keys.slot_of(id), (servers.port_of(id), target)

    def __enter__(self) -> None:
        self._servers.move(self._slot, *self._ports)

    def __exit__(self, *_: object) -> None:
        self._servers.move(self._slot, *reversed(self._ports))


def test_readers_and_commands_find_the_cluster_by_any_node(store: RedisStore, term: int, cluster_servers: Any) -> None:
    store.ready(len(MANY), term, claim=True)
    for port in cluster_servers.ports:
        url = f"redis://127.0.0.1:{port}/0"
        with NeighbourReader(url) as reader:
            assert [reader.neighbours(id) for id in MANY] == [[Neighbour("b", 0.5)]] * len(MANY)
        assert [(each.name, each.state) for each in Generations(url).all()] == [("g1", "live")]
        assert Generations(url).promote("g1") == "g1"
        stored = StoredGeneration(url, "g1")
        assert stored.fetch(MANY) == [Stored([("b", 0.5)], True)] * len(MANY)
        assert set(stored.ids()) == set(MANY)


def test_the_asyncio_reader_finds_it_too(store: RedisStore, term: int, cluster_url: str) -> None:
    async def read() -> list[list[Neighbour]]:
        async with AsyncNeighbourReader(cluster_url, generation="g1") as reader:
            return [await reader.neighbours(id) for id in MANY[:50]]

    assert asyncio.run(read()) == [[Neighbour("b", 0.5)]] * 50


def test_doctor_looks_at_each_primary(cluster_servers: Any, cluster_url: str) -> None:
    findings = check_redis(Settings(redis=cluster_url))
    assert [each.check for each in findings].count("Redis maxmemory-policy") == len(cluster_servers.ports)


def test_a_cluster_that_is_down_is_named(free_port: int) -> None:
    with pytest.raises(ServerUnavailable, match=str(free_port)):
        RedisStore(f"redis://127.0.0.1:{free_port}/0", "g1").lead("one", 0)
