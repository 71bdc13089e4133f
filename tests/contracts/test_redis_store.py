"""What only the store on Redis does: its keys, its scripts, a server that is not there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from consumer.errors import ServerUnavailable, StoreLost
from consumer.generations import Generations
from consumer.redis import RedisStore
from consumer.redis_nodes import Wire
from consumer.redis_scripts import ADVANCE
from consumer.types import Changes, Generation, ListWrite

G1 = Generation(name="g1", model="m", dim=4, k=3, created_at=5.0)
ONE_LIST = Changes([ListWrite("a", [("b", 0.5)])], [], [], 7)


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisStore]:
    made = RedisStore(redis_url, "g1")
    made.open(G1)
    yield made
    made.close()


@pytest.fixture
def term(store: RedisStore) -> int:
    term = store.lead("one", 0)
    store.begin(term)
    return term


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def test_the_fields_of_a_meta(store: RedisStore, term: int, client: redis.Redis) -> None:
    store.write(ONE_LIST, 1, term)
    meta = client.hgetall("kin:g1:meta")
    now = client.time()[0]
    assert client.get("kin:g1:fence") == meta["epoch"] == str(term)
    lease = float(meta.pop("lease_until")) / 1000
    assert now < lease <= now + 6
    assert meta == {
        "model": "m", "dim": "4", "metric": "cosine", "k": "3", "products": "7", "state": "building", "created_at": "5.000",
        "epoch": str(term), "leader": "one", "seq": "1",
    }  # fmt: skip
    assert [each.name for each in Generations(client).all()] == ["g1"]


def test_a_lease_alone_is_no_generation_yet(redis_url: str, client: redis.Redis) -> None:
    early = RedisStore(redis_url, "g1")
    term = early.lead("one", 0)
    assert Generations(client).all() == []
    early.open(G1)
    assert [each.state for each in Generations(client).all()] == ["building"]
    assert early.lead("one", term) == term
    early.close()


def test_scripts_that_redis_forgot_are_loaded_again(store: RedisStore, term: int, client: redis.Redis) -> None:
    client.script_flush()
    store.write(ONE_LIST, 1, term)
    assert client.zrange("kin:g1:n:{a}", 0, -1) == ["b"]


def test_a_fence_is_never_lowered(
    store: RedisStore, redis_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One takes the lead and is slow to raise the fence; meanwhile the lease runs out and another leads."""
    other = RedisStore(redis_url, "g1")
    raise_fences = RedisStore._raise_fences
    terms: list[int] = []

    def slow(self: RedisStore, wire: Wire, term: int) -> bool:
        if not terms:
            terms.append(term)
            client.hset("kin:g1:meta", "lease_until", 1)
            terms.append(other.lead("two", 0))
        return raise_fences(self, wire, term)

    monkeypatch.setattr(RedisStore, "_raise_fences", slow)
    assert store.lead("one", 0) == 0
    assert terms[1] > terms[0]
    other.begin(terms[1])
    other.write(ONE_LIST, 1, terms[1])
    other.close()


def test_a_connection_that_broke_is_opened_again(store: RedisStore, term: int, client: redis.Redis) -> None:
    store.write(ONE_LIST, 1, term)
    client.client_kill_filter(_type="normal", skipme=True)
    store.write(ONE_LIST, 2, term)
    store.check(term)


def test_a_write_is_made_again_as_a_whole_when_its_connection_broke(
    store: RedisStore, term: int, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis loses the first half of a write and is back before the second."""
    exchanged = Wire._exchanged
    rounds: list[int] = []

    def restarted_after_the_first(self: Wire, calls: list[tuple[int, tuple[str, ...]]]) -> list[object]:
        answers = exchanged(self, calls)
        rounds.append(len(calls))
        if len(rounds) == 1:
            client.delete("kin:g1:n:{0}")
            client.client_kill_filter(_type="normal", skipme=True)
        return answers

    monkeypatch.setattr(Wire, "_exchanged", restarted_after_the_first)
    lists = [ListWrite(str(number), [("b", 0.5)]) for number in range(40_000)]
    store.write(Changes(lists, [], [], 0), 1, term)
    assert len(rounds) > 2
    assert client.exists("kin:g1:n:{0}")


def test_a_write_whose_last_answer_was_lost_is_no_loss(
    store: RedisStore, term: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchanged = Wire._exchanged
    broken: list[bool] = []

    def broke_after_the_number(self: Wire, calls: list[tuple[int, tuple[str, ...]]]) -> list[object]:
        answers = exchanged(self, calls)
        if not broken and calls[0][1][1] == ADVANCE.sha:
            broken.append(True)
            self.drop()
            raise redis.ConnectionError("reset by peer")
        return answers

    monkeypatch.setattr(Wire, "_exchanged", broke_after_the_number)
    store.write(ONE_LIST, 1, term)
    assert broken
    store.write(ONE_LIST, 2, term)
    store.check(term)


def test_a_refused_write_is_made_again(store: RedisStore, term: int, client: redis.Redis) -> None:
    client.set("kin:g1:p:{a}", "not a list")
    client.rename("kin:g1:p:{a}", "kin:g1:meta")
    with pytest.raises(ServerUnavailable, match="WRONGTYPE"):
        store.write(ONE_LIST, 1, term)
    client.delete("kin:g1:meta")
    with pytest.raises(StoreLost):
        store.write(ONE_LIST, 1, term)


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    store = RedisStore("redis://:geheim@127.0.0.1:1/0", "g1")
    for call in (store.ping, lambda: store.open(G1), lambda: store.lead("one", 0), lambda: store.check(1)):
        with pytest.raises(ServerUnavailable, match=r"127\.0\.0\.1:1/0") as caught:
            call()
        assert "geheim" not in str(caught.value)
