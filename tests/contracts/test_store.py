"""The contract of consumer.ports.Store, run on every implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from consumer.errors import KinstreamError, ServerUnavailable
from consumer.memory import MemoryStore
from consumer.ports import Store
from consumer.redis import RedisStore
from consumer.types import CardWrite, Changes, Generation, ListWrite

G1 = Generation(name="g1", model="m", dim=4, k=3, created_at=5.0)
View = Callable[[str], tuple[list[tuple[str, float]] | None, dict[str, str] | None]]


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    made: Store = (
        MemoryStore("g1") if request.param == "memory" else RedisStore(request.getfixturevalue("redis_url"), "g1")
    )
    made.open(G1)
    yield made
    made.close()


@pytest.fixture
def view(store: Store, request: pytest.FixtureRequest) -> Iterator[View]:
    """What a reader sees of a product: its list and its card."""
    if isinstance(store, MemoryStore):
        yield lambda id: (store.lists.get(id), store.cards.get(id))
        return
    client = redis.Redis.from_url(request.getfixturevalue("redis_url"), decode_responses=True)

    def seen(id: str) -> Any:
        members = client.zrevrange(f"kin:g1:n:{{{id}}}", 0, -1, withscores=True)
        return [tuple(member) for member in members] or None, client.hgetall(f"kin:g1:p:{{{id}}}") or None

    yield seen
    client.close()


def changes(**parts: Any) -> Changes:
    return Changes(**{"lists": [], "cards": [], "removed": [], "products": 0, **parts})


def test_lists_and_cards_are_readable(store: Store, view: View) -> None:
    neighbours = [("b", 0.75), ("é}{", 0.5), ("c", -0.25)]
    store.write(changes(lists=[ListWrite("a", neighbours)], cards=[CardWrite("a", {"title": "A"})]), now=12.5)
    assert view("a") == (neighbours, {"title": "A", "seen_at": "12.500000"})
    assert view("b") == (None, None)


def test_a_list_is_replaced_as_a_whole(store: Store, view: View) -> None:
    store.write(changes(lists=[ListWrite("a", [("b", 0.9), ("c", 0.8), ("d", 0.7)])]), now=1)
    store.write(changes(lists=[ListWrite("a", [("e", 0.5)])]), now=2)
    assert view("a")[0] == [("e", 0.5)]


def test_a_list_may_become_empty(store: Store, view: View) -> None:
    store.write(changes(lists=[ListWrite("a", [("b", 0.9)])], cards=[CardWrite("a", {"title": "A"})]), now=1)
    store.write(changes(lists=[ListWrite("a", [])]), now=2)
    assert not view("a")[0]
    assert view("a")[1] is not None


def test_a_card_that_lost_a_field_loses_it_for_readers(store: Store, view: View) -> None:
    store.write(changes(cards=[CardWrite("a", {"title": "A", "price": "3"})]), now=1)
    store.write(changes(cards=[CardWrite("a", {"title": "A"}, gone=True)]), now=2)
    assert view("a")[1] == {"title": "A", "seen_at": "2.000000"}


def test_removed_products_leave_nothing(store: Store, view: View) -> None:
    both = changes(lists=[ListWrite("a", [("b", 0.9)])], cards=[CardWrite("a", {"title": "A"})])
    store.write(both, now=1)
    store.write(changes(removed=["a", "never there"]), now=2)
    assert view("a") == (None, None)
    store.write(both, now=3)
    store.remove(["a"])
    assert view("a") == (None, None)


def test_ids_are_those_with_a_list_or_a_card(store: Store) -> None:
    store.write(changes(lists=[ListWrite("a", [("x", 0.9)])], cards=[CardWrite("é}{", {"title": "B"})]), now=1)
    assert set(store.ids()) == {"a", "é}{"}


def test_writing_again_changes_nothing(store: Store, view: View) -> None:
    both = changes(lists=[ListWrite("a", [("b", 0.9)])], cards=[CardWrite("a", {"title": "A"})])
    store.write(both, now=1)
    before = view("a")
    store.write(both, now=1)
    assert view("a") == before


def test_thousands_of_changes_in_one_write(store: Store, view: View) -> None:
    lists = [ListWrite(str(n), [(str(n + 1), 0.5)]) for n in range(2500)]
    store.write(changes(lists=lists, products=2500), now=1)
    assert all(view(str(n))[0] == [(str(n + 1), 0.5)] for n in (0, 999, 1000, 2499))


def test_a_generation_of_other_settings_is_refused(store: Store) -> None:
    store.open(G1)
    with pytest.raises(KinstreamError, match=r"dim 4.*8"):
        store.open(Generation(name="g1", model="m", dim=8, k=3))
    with pytest.raises(KinstreamError, match=r"model m.*other"):
        store.open(Generation(name="g1", model="other", dim=4, k=3))


def test_the_first_ready_generation_becomes_live_and_no_other(redis_url: str) -> None:
    stores = [RedisStore(redis_url, name) for name in ("g1", "g2")]
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    for number, store in enumerate(stores):
        store.open(Generation(name=f"g{number + 1}", model="m", dim=4, k=3, created_at=5.0))
        assert client.hget(f"kin:g{number + 1}:meta", "state") == "building"
        store.ready(7)
        store.close()
    assert client.get("kin:live") == "g1"
    assert client.hget("kin:g2:meta", "state") == "ready"
    assert client.hgetall("kin:g1:meta") == {
        "model": "m", "dim": "4", "metric": "cosine", "k": "3", "products": "7", "state": "live", "created_at": "5.000",
    }  # fmt: skip
    client.close()


def test_scripts_that_redis_forgot_are_loaded_again(redis_url: str) -> None:
    store = RedisStore(redis_url, "g1")
    store.open(G1)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.script_flush()
        store.write(changes(lists=[ListWrite("a", [("b", 0.5)])]), now=1)
        assert client.zrange("kin:g1:n:{a}", 0, -1) == ["b"]
    store.close()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    store = RedisStore("redis://:geheim@127.0.0.1:1/0", "g1")
    with pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:1/0") as caught:
        store.ping()
    assert "geheim" not in str(caught.value)
