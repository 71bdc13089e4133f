"""Readers, generations and promotion on a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import redis
import redis.asyncio

from consumer import keys
from consumer.errors import KinstreamError
from consumer.generations import Generations, StoredGeneration, UnknownGeneration
from consumer.reader import AsyncNeighbourReader, Neighbour, NeighbourReader, NoGeneration, UnknownProduct
from consumer.verification import Stored

META = {"model": "none", "dim": 2, "metric": "cosine", "k": 2, "products": 3, "created_at": "1.5"}


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """Two generations: g1 is live and has products, g2 is ready and has others, g3 is being built."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.set(keys.live_key(), "g1")
        for name, state in (("g1", "live"), ("g2", "ready"), ("g3", "building")):
            client.hset(keys.meta_key(name), mapping={**META, "state": state, "created_at": f"{name[1]}.5"})
        put(client, "g1", "a", {"b": 0.9, "c": 0.5}, title="A", price="9.5")
        put(client, "g1", "b", {"a": 0.9}, title="B")
        put(client, "g1", "c", {})
        put(client, "g2", "a", {"c": 0.7})
        yield client


def put(client: redis.Redis, generation: str, id: str, neighbours: dict[str, float], **card: str) -> None:
    if neighbours:
        client.zadd(keys.list_key(generation, id), cast(Any, neighbours))
    client.hset(keys.card_key(generation, id), mapping=cast(Any, card | {"seen_at": "1.0"}))


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was sent, one entry a round trip."""
    sent: list[Any] = []
    send: Any = redis.connection.Connection.send_packed_command

    def counted(self: Any, command: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(command)
        return send(self, command, *arguments, **options)

    monkeypatch.setattr(redis.connection.Connection, "send_packed_command", counted)
    return sent


def test_a_list_comes_best_first(client: redis.Redis, redis_url: str) -> None:
    with NeighbourReader(redis_url) as reader:
        assert reader.neighbours("a") == [Neighbour("b", 0.9), Neighbour("c", 0.5)]
        assert reader.neighbours("a", k=1) == [Neighbour("b", 0.9)]
        assert reader.generation() == "g1"


def test_a_known_product_without_neighbours_has_an_empty_list(client: redis.Redis, redis_url: str) -> None:
    with NeighbourReader(redis_url) as reader:
        assert reader.neighbours("c") == []


def test_an_unknown_product_is_an_error(client: redis.Redis, redis_url: str) -> None:
    with NeighbourReader(redis_url) as reader, pytest.raises(UnknownProduct, match="'nope'"):
        reader.neighbours("nope")


def test_cards(client: redis.Redis, redis_url: str) -> None:
    with NeighbourReader(redis_url) as reader:
        assert reader.card("a") == {"title": "A", "price": "9.5", "seen_at": "1.0"}
        assert reader.card("nope") is None
        assert [card and card.get("title") for card in reader.cards(["b", "nope", "a"])] == ["B", None, "A"]
        assert reader.cards([]) == []


def test_one_round_trip_a_question(client: redis.Redis, round_trips: list[Any]) -> None:
    reader = NeighbourReader(client, clock=lambda: 0.0)
    reader.neighbours("a")
    assert len(round_trips) == 2
    reader.neighbours("b")
    assert len(round_trips) == 3


def test_a_promotion_is_seen_once_the_name_is_old(client: redis.Redis) -> None:
    now = [0.0]
    reader = NeighbourReader(client, live_ttl=1.0, clock=lambda: now[0])
    assert reader.neighbours("a")[0].id == "b"
    Generations(client).promote("g2")
    assert reader.neighbours("a")[0].id == "b"
    now[0] = 1.0
    assert reader.neighbours("a") == [Neighbour("c", 0.7)]


def test_a_generation_can_be_read_before_it_is_live(client: redis.Redis) -> None:
    assert NeighbourReader(client, generation="g2").neighbours("a") == [Neighbour("c", 0.7)]


def test_nothing_is_live_yet(redis_url: str) -> None:
    with NeighbourReader(redis_url) as reader, pytest.raises(NoGeneration):
        reader.neighbours("a")


def test_a_given_client_stays_open(client: redis.Redis) -> None:
    with NeighbourReader(client) as reader:
        reader.card("a")
    assert client.ping()


def test_an_answer_that_is_an_error_is_told(client: redis.Redis) -> None:
    client.delete(keys.card_key("g1", "a"))
    client.set(keys.card_key("g1", "a"), "not a card")
    with pytest.raises(KinstreamError, match="WRONGTYPE"):
        NeighbourReader(client).card("a")


async def test_the_asyncio_reader_reads_the_same(client: redis.Redis, redis_url: str) -> None:
    async with AsyncNeighbourReader(redis_url) as reader:
        assert await reader.generation() == "g1"
        assert await reader.neighbours("a", k=1) == [Neighbour("b", 0.9)]
        assert [card and card.get("title") for card in await reader.cards(["b", "nope"])] == ["B", None]
        with pytest.raises(UnknownProduct):
            await reader.neighbours("nope")


async def test_the_asyncio_reader_leaves_a_given_client_open(client: redis.Redis, redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as own:
        async with AsyncNeighbourReader(own) as reader:
            assert (await reader.card("b") or {})["title"] == "B"
        assert await own.ping()


def test_generations_are_listed_oldest_first(client: redis.Redis) -> None:
    put(client, "g1", "x}:meta", {})
    found = Generations(client).all()
    assert [(each.name, each.state, each.k, each.created_at) for each in found] == [
        ("g1", "live", 2, 1.5),
        ("g2", "ready", 2, 2.5),
        ("g3", "building", 2, 3.5),
    ]


def test_the_live_name_outranks_the_state_in_the_meta(client: redis.Redis) -> None:
    client.set(keys.live_key(), "g2")
    assert {each.name: each.state for each in Generations(client).all()}["g1"] == "retired"


def test_promote_and_undo(client: redis.Redis) -> None:
    generations = Generations(client)
    assert generations.promote("g2") == "g1"
    assert generations.live() == "g2"
    assert client.hget(keys.meta_key("g1"), "state") == "retired"
    assert client.hget(keys.meta_key("g2"), "state") == "live"
    assert generations.promote("g1") == "g2"
    assert generations.live() == "g1"
    assert client.hget(keys.meta_key("g2"), "state") == "retired"


def test_promoting_the_live_one_changes_nothing(client: redis.Redis) -> None:
    assert Generations(client).promote("g1") == "g1"
    assert client.hget(keys.meta_key("g1"), "state") == "live"


def test_promotion_makes_no_meta_for_one_that_is_gone(client: redis.Redis) -> None:
    client.delete(keys.meta_key("g1"))
    assert Generations(client).promote("g2") is None
    assert not client.exists(keys.meta_key("g1"))


@pytest.mark.parametrize(("name", "why"), [("nope", "is unknown"), ("g3", "is building")])
def test_what_cannot_be_promoted(client: redis.Redis, name: str, why: str) -> None:
    with pytest.raises(UnknownGeneration, match=why):
        Generations(client).promote(name)
    assert client.get(keys.live_key()) == "g1"


def test_a_promotion_that_meets_another_is_made_again(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    generations = Generations(client)
    checked = Generations._checked
    meetings: list[str] = []

    def met(self: Generations, server: Any, name: str) -> str | None:
        if not meetings:
            meetings.append(name)
            client.hset(keys.meta_key(name), "products", 99)
        return checked(self, server, name)

    monkeypatch.setattr(Generations, "_checked", met)
    assert generations.promote("g2") == "g1"
    assert meetings == ["g2"]
    assert client.get(keys.live_key()) == "g2"


def test_step_by_step_ends_in_the_same_state(client: redis.Redis) -> None:
    assert Generations(client)._promote_in_steps("g2") == "g1"
    assert client.get(keys.live_key()) == "g2"
    assert [client.hget(keys.meta_key(name), "state") for name in ("g1", "g2")] == ["retired", "live"]


def test_what_is_stored_of_a_generation(client: redis.Redis) -> None:
    stored = StoredGeneration(client, "g1")
    assert stored.fetch(["a", "c", "nope"]) == [
        Stored([("b", 0.9), ("c", 0.5)], True),
        Stored([], True),
        Stored([], False),
    ]
    assert set(stored.ids()) == {"a", "b", "c"}
