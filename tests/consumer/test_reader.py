"""The pure part of reading, and servers that do not answer. Real answers: tests/integration/test_reader_redis.py."""

from __future__ import annotations

import pytest

from consumer import keys, queries
from consumer.errors import KinstreamError, ServerUnavailable
from consumer.generations import Generations
from consumer.reader import AsyncNeighbourReader, Neighbour, NeighbourReader, NoGeneration, UnknownProduct


@pytest.mark.parametrize("id", ["sku-1", "a}b{c", "ключ", "a:p:{b}", "with blank", "line\nbreak", "kin:g1:n:{x}"])
def test_keys_are_read_back(id: str) -> None:
    assert keys.parse_key(keys.list_key("g1", id)) == keys.ProductKey("g1", "n", id)
    assert keys.parse_key(keys.card_key("g-2", id).encode()) == keys.ProductKey("g-2", "p", id)


def test_keys_are_those_of_the_contract() -> None:
    assert keys.live_key() == "kin:live"
    assert keys.list_key("g1", "7") == "kin:g1:n:{7}"
    assert keys.card_key("g1", "7") == "kin:g1:p:{7}"
    assert keys.meta_key("g1") == "kin:g1:meta"


@pytest.mark.parametrize("key", ["kin:live", "kin:g1:meta", "kin:g1:x:{7}", "kin:g1:n:7", "other", "kin:g1:n:{}"])
def test_other_keys_are_not_products(key: str) -> None:
    assert keys.parse_key(key) is None


def test_meta_keys_are_told_apart_from_products() -> None:
    assert keys.parse_meta_key("kin:g1:meta") == "g1"
    assert keys.parse_meta_key(keys.list_key("g1", "x}:meta")) is None


def test_the_live_name_is_remembered_for_its_time() -> None:
    now = [100.0]
    live = queries.LiveName(1.0, lambda: now[0])
    assert live.remembered() is None
    assert live.remember(b"g1") == "g1"
    now[0] = 100.9
    assert live.remembered() == "g1"
    now[0] = 101.0
    assert live.remembered() is None


def test_a_given_generation_is_never_asked_for() -> None:
    assert queries.LiveName(1.0, lambda: 1e12, "g7").remembered() == "g7"


def test_no_live_generation_says_what_to_do() -> None:
    with pytest.raises(NoGeneration, match="kinstream run"):
        queries.LiveName(1.0).remember(None)


def test_answers_are_read_from_bytes_and_text() -> None:
    assert queries.parse_list([[(b"a", 0.5), ("b", "0.25")], 3], "g1", "x") == [
        Neighbour("a", 0.5),
        Neighbour("b", 0.25),
    ]
    assert queries.parse_cards([{b"title": "Ü".encode()}, {}]) == [{"title": "Ü"}, None]


def test_a_product_without_card_is_unknown() -> None:
    with pytest.raises(UnknownProduct, match="'x' is not in generation g1"):
        queries.parse_list([[], 0], "g1", "x")


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_would_read_the_whole_list(k: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        queries.list_questions("g1", "x", k)


def test_a_server_that_is_down_is_named_without_its_password(closed_port: int) -> None:
    with (
        NeighbourReader(f"redis://user:secret@127.0.0.1:{closed_port}/0") as reader,
        pytest.raises(ServerUnavailable, match=f"127.0.0.1:{closed_port}") as caught,
    ):
        reader.neighbours("x")
    assert "secret" not in str(caught.value)
    assert "KINSTREAM_REDIS" in str(caught.value)


async def test_the_asyncio_reader_says_the_same(closed_port: int) -> None:
    async with AsyncNeighbourReader(f"redis://:secret@127.0.0.1:{closed_port}/0") as reader:
        with pytest.raises(ServerUnavailable, match=r"redis://:\*\*\*@"):
            await reader.card("x")


def test_generations_of_a_server_that_is_down(closed_port: int) -> None:
    with pytest.raises(ServerUnavailable):
        Generations(f"redis://127.0.0.1:{closed_port}/0").all()


def test_a_url_that_is_none() -> None:
    with pytest.raises(KinstreamError, match="expected redis://"):
        NeighbourReader("http://127.0.0.1:6379")
