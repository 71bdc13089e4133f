"""What happens to a product: every rule of the contract's section 2, through the loop, in memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from consumer.auditor import Auditor
from consumer.catalogue import Catalogue
from consumer.ends import Ends
from consumer.errors import EncoderFailed, KinstreamError
from consumer.exact import ExactIndex
from consumer.leadership import Leadership
from consumer.loop import Chores, Loop
from consumer.memory import MemoryLog, MemorySource, MemoryStore
from consumer.metric import LONGEST
from consumer.metrics import OUTCOMES, Metrics
from consumer.neighbours import NeighbourGraph
from consumer.pipeline import Pipeline
from consumer.start import catch_up, choose
from consumer.types import Generation, Metric, Vectors
from producer.events import Product

DIM = 8


class WordEncoder:
    """A toy encoder: a text's vector is a hash of its words, summed. Counts what it encodes; chokes on "poison"."""

    dim = DIM
    name = "words"
    digest = "words"
    provider = "python"

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self.broken = False

    def refusal(self, product: Product) -> str | None:
        return None if product.title else "title=None: nothing to encode, send a title"

    def encode(self, products: Sequence[Product]) -> Vectors:
        if self.broken or any("poison" in (product.title or "") for product in products):
            raise EncoderFailed("cannot encode poison")
        self.encoded += [product.id for product in products]
        return self.encode_texts([f"{p.title} {p.brand} {p.attributes}" for p in products])

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        if self.broken:
            raise EncoderFailed("the device is lost")
        rows = [sum((self._word(word) for word in text.split()), np.zeros(DIM)) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], np.float32)

    def encode_query(self, text: str | None, image: bytes | None) -> Vectors:
        return self.encode_texts([text or ""])

    def revisit(self, now: float) -> Sequence[Product]:
        return ()

    def waiting(self) -> Sequence[Product]:
        return ()

    def wait_for(self, products: Sequence[Product]) -> None:
        pass

    def _word(self, word: str) -> Any:
        return np.random.default_rng(list(word.encode())).normal(size=DIM)


class Shop:
    """A topic, a store and a service that can be restarted."""

    def __init__(
        self,
        *,
        batch: int = 100,
        partitions: int = 1,
        fact_attributes: Sequence[str] = (),
        metric: Metric = "cosine",
    ) -> None:
        self.metric: Metric = metric
        self.log = MemoryLog(partitions=partitions)
        self.store = MemoryStore("g1")
        self.batch = batch
        self.now = 1000.0
        self.fact_attributes = frozenset(fact_attributes)
        self.start()

    def start(self) -> None:
        self.encoder = WordEncoder()
        self.metrics = Metrics("words", "exact", "python")
        self.catalogue = Catalogue()
        graph = NeighbourGraph(ExactIndex(DIM), DIM, 3, 3, self.catalogue.id_of, self.metric)
        self.graph = graph
        pipeline = Pipeline(self.encoder, graph, self.catalogue, self.fact_attributes, self.metrics.stage)
        auditor = Auditor(graph, self.catalogue, self.metrics.list_recall, pipeline.lock, 0.02)
        source = MemorySource(self.log)
        self.leadership = Leadership(self.store.lead, self.store.resign, "me", lambda: self.now)
        self.loop = Loop(
            Ends(source, self.store, self.leadership, Generation(name="g1", model="words", dim=DIM, k=3)),
            pipeline,
            self.catalogue,
            self.metrics,
            Chores([auditor.turn]),
            self.batch,
            lambda: self.now,
        )
        topic = source.topic()
        catch_up(self.loop, choose(None, 0, topic, self.now, forced=False), topic, {})
        self.step()

    def step(self) -> None:
        self.leadership.beat()
        self.loop.step()

    def send(self, id: str, title: str | None = "a product", **fields: Any) -> None:
        value = json.dumps({"id": id, "title": title, **fields}).encode()
        self.log.append(id.encode(), value, partition=len(id) % len(self.log.partitions), timestamp=self.now)

    def delete(self, id: str) -> None:
        self.log.append(id.encode(), None, partition=len(id) % len(self.log.partitions), timestamp=self.now)

    def drain(self) -> None:
        while any(self.loop.source.lag().values()):
            self.step()

    def names(self, id: str) -> set[str]:
        return {other for other, _ in self.store.lists[id]}

    def named_anywhere(self, id: str) -> bool:
        return any(id == other for other, _ in itertools.chain.from_iterable(self.store.lists.values()))

    def counted(self) -> dict[str, int]:
        counts = {o: self.metrics.registry.get_sample_value("kinstream_events_total", {"outcome": o}) for o in OUTCOMES}
        return {outcome: int(count) for outcome, count in counts.items() if count}


def filled(**options: Any) -> Shop:
    shop = Shop(**options)
    for id, title in {"a": "red shoe", "b": "red boot", "c": "blue shoe", "d": "green hat", "e": "blue hat"}.items():
        shop.send(id, title)
    shop.drain()
    return shop


def test_new_products_get_a_list_and_a_card() -> None:
    shop = filled()
    assert set(shop.store.lists) == set("abcde")
    assert all(len(names) == 3 for names in map(shop.names, "abcde"))
    assert shop.store.cards["a"] == {"title": "red shoe", "available": "true", "seen_at": "1000.000000"}
    assert shop.log.committed == {("products", 0): 5}
    assert shop.counted() == {"embedded": 5}


def test_the_first_ready_generation_becomes_live() -> None:
    shop = filled()
    assert shop.store.live == "g1"
    assert shop.store.metas["g1"].state == "live"
    assert shop.store.metas["g1"].products == 5


def test_changed_facts_rewrite_the_card_without_the_encoder() -> None:
    shop = filled()
    lists = dict(shop.store.lists)
    shop.encoder.encoded.clear()
    shop.send("a", "red shoe", price=5, currency="EUR", version=3)
    shop.now = 2000
    shop.drain()
    assert shop.store.cards["a"] == {
        "title": "red shoe", "price": "5", "currency": "EUR", "version": "3", "available": "true",
        "seen_at": "2000.000000",
    }  # fmt: skip
    assert shop.encoder.encoded == []
    assert shop.store.lists == lists
    assert shop.counted() == {"embedded": 5, "facts": 1}


def test_a_fact_that_is_gone_leaves_the_card() -> None:
    shop = filled()
    shop.send("a", "red shoe", price=5, currency="EUR")
    shop.drain()
    shop.send("a", "red shoe", price=4)
    shop.drain()
    assert "currency" not in shop.store.cards["a"]


def test_fact_attributes_are_facts_and_unseen_by_the_encoder() -> None:
    shop = Shop(fact_attributes=["promo"])
    shop.send("a", attributes={"promo": "yes", "size": 3})
    shop.send("b", attributes={"size": 3})
    shop.drain()
    assert shop.store.lists["a"] == [("b", pytest.approx(1.0, abs=1e-6))]
    shop.send("a", attributes={"promo": "no", "size": 3})
    shop.drain()
    shop.send("a", attributes={"promo": "no", "size": 4})
    shop.drain()
    assert shop.counted() == {"embedded": 3, "facts": 1}


def test_changed_content_moves_the_product_in_all_lists() -> None:
    shop = filled()
    shop.send("d", "red shoe")
    shop.drain()
    assert shop.store.lists["a"][0] == ("d", pytest.approx(1.0, abs=1e-6))
    assert shop.store.lists["d"][0] == ("a", pytest.approx(1.0, abs=1e-6))


def test_unavailable_products_keep_their_list_and_leave_all_others() -> None:
    shop = filled()
    shop.send("a", "red shoe", available=False)
    shop.drain()
    assert not shop.named_anywhere("a")
    assert len(shop.names("a")) == 3
    assert shop.store.cards["a"]["available"] == "false"
    shop.send("f", "red shoe")
    shop.drain()
    assert shop.store.lists["a"][0][0] == "f"
    shop.send("a", "red shoe", available=True)
    shop.drain()
    assert shop.store.lists["f"][0][0] == "a"
    assert shop.encoder.encoded.count("a") == 1


def test_deleted_products_are_gone_everywhere() -> None:
    shop = filled()
    shop.delete("a")
    shop.drain()
    assert "a" not in shop.store.lists
    assert "a" not in shop.store.cards
    assert not shop.named_anywhere("a")
    assert all(len(shop.names(id)) == 3 for id in "bcde")
    assert shop.counted() == {"embedded": 5, "deleted": 1}


def test_deleting_what_is_unknown_does_nothing() -> None:
    shop = filled()
    shop.delete("zz")
    shop.drain()
    assert shop.counted() == {"embedded": 5, "unchanged": 1}


def test_after_a_delete_the_id_is_a_new_product() -> None:
    shop = filled()
    shop.send("a", "red shoe", version=9)
    shop.delete("a")
    shop.send("a", "red shoe", version=1)
    shop.drain()
    assert shop.store.cards["a"]["version"] == "1"
    assert shop.named_anywhere("a")


def test_stale_and_duplicate_versions_are_ignored() -> None:
    shop = filled()
    shop.send("a", "red shoe", version=5, price=1)
    shop.send("a", "old shoe", version=4, price=2)
    shop.send("a", "same shoe", version=5, price=3)
    shop.drain()
    shop.send("a", "older shoe", version=3)
    shop.drain()
    assert shop.store.cards["a"]["price"] == "1"
    assert shop.counted() == {"embedded": 5, "facts": 1, "stale": 2, "duplicate": 1}


def test_the_same_event_again_changes_nothing() -> None:
    shop = filled()
    cards = dict(shop.store.cards)
    shop.now = 5000
    shop.send("a", "red shoe")
    shop.drain()
    assert shop.store.cards == cards
    assert shop.counted() == {"embedded": 5, "unchanged": 1}


def test_own_vectors_are_normalised_and_used() -> None:
    shop = Shop()
    shop.send("a", None, embedding=[2.0] + [0] * 7)
    shop.send("b", None, embedding=[3.0, 4.0] + [0] * 6)
    shop.drain()
    assert shop.store.lists["a"] == [("b", pytest.approx(0.6))]
    assert shop.encoder.encoded == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"id": "a", "title": "bad", "embedding": [1.0, 2.0]}, "InvalidEmbedding"),
        ({"id": "a", "image": "data:,"}, "NothingToEncode"),
        ({"id": "a", "title": "poison"}, "EncoderFailed"),
        ({"id": "b", "title": "x"}, "KeyMismatch"),
        ({"id": "a"}, "MissingTitle"),
    ],
)
def test_bad_events_become_dead_letters_and_the_last_good_state_stays(value: dict[str, Any], reason: str) -> None:
    shop = filled()
    card = shop.store.cards["a"]
    record = shop.log.append(b"a", json.dumps(value).encode())
    shop.send("f", "new thing")
    shop.drain()
    (letter,) = shop.log.dead_letters
    assert (letter.record, letter.reason) == (record, reason)
    assert shop.store.cards["a"] == card
    assert "f" in shop.store.lists
    assert shop.counted() == {"embedded": 6, "dead_letter": 1}


def test_a_bad_event_does_not_supersede_a_good_one_in_its_batch() -> None:
    shop = filled()
    shop.send("a", "good")
    shop.log.append(b"a", b"{")
    shop.drain()
    assert shop.store.cards["a"]["title"] == "good"


def test_what_the_encoder_fails_on_does_not_supersede_what_was_good_in_its_batch() -> None:
    shop = filled()
    shop.send("a", "good")
    shop.send("a", "poison")
    shop.delete("b")
    shop.send("b", "poison")
    shop.drain()
    assert shop.store.cards["a"]["title"] == "good"
    assert "b" not in shop.store.cards
    assert not shop.named_anywhere("b")
    assert shop.counted() == {"embedded": 6, "deleted": 1, "dead_letter": 2}


def test_an_encoder_that_fails_on_everything_stops_the_service() -> None:
    shop = filled()
    shop.encoder.broken = True
    shop.send("f", "fine")
    with pytest.raises(EncoderFailed, match="device"):
        shop.drain()
    assert shop.log.dead_letters == []
    assert shop.log.committed == {("products", 0): 5}


def test_a_restart_rebuilds_the_same_lists_and_sends_no_letter_twice() -> None:
    shop = filled()
    shop.log.append(b"a", b"{")
    shop.delete("e")
    shop.drain()
    lists, cards = dict(shop.store.lists), dict(shop.store.cards)
    shop.start()
    assert shop.store.lists == lists
    assert shop.store.cards == cards
    assert len(shop.log.dead_letters) == 1


def test_a_restart_removes_what_no_longer_exists_and_heals_what_is_wrong() -> None:
    shop = filled()
    shop.store.lists["ghost"] = [("a", 0.5)]
    shop.store.cards["ghost"] = {"title": "ghost"}
    shop.store.lists["a"] = [("ghost", 1.0)]
    shop.send("a", "red shoe", price=3)
    shop.start()
    assert "ghost" not in shop.store.lists
    assert "ghost" not in shop.store.cards
    assert not shop.named_anywhere("ghost")
    assert shop.store.cards["a"]["price"] == "3"


def test_a_topic_without_any_event_does_not_wipe_a_generation() -> None:
    shop = filled()
    lists = dict(shop.store.lists)
    shop.log = MemoryLog()
    with pytest.raises(KinstreamError, match="KINSTREAM_TOPIC"):
        shop.start()
    assert shop.store.lists == lists
    shop.log.append(b"zz", None)
    shop.start()
    assert shop.store.lists == {}


def test_many_bad_states_of_one_product_are_encoded_once_each() -> None:
    shop = filled()
    shop.encoder.encoded.clear()
    for number in range(30):
        shop.send("a", f"poison {number}")
    shop.send("b", "fine now")
    shop.drain()
    assert len(shop.log.dead_letters) == 30
    assert shop.encoder.encoded == ["b"]


def test_freshness_counts_only_events_that_were_never_readable_before() -> None:
    shop = filled()
    shop.send("a", "red shoe", price=3)
    shop.now += 7
    shop.start()
    assert shop.metrics.registry.get_sample_value("kinstream_freshness_seconds_count") == 1
    assert shop.metrics.registry.get_sample_value("kinstream_freshness_seconds_sum") == 7


def test_metrics_have_the_names_of_the_contract() -> None:
    shop = filled()
    shop.now += 2
    shop.step()
    text = generate_latest(shop.metrics.registry).decode()
    assert 'kinstream_products{state="available"} 5.0' in text
    assert 'kinstream_consumer_lag{partition="0",topic="products"} 0.0' in text
    assert "kinstream_list_recall 1.0" in text
    assert "kinstream_lists_written_total 5.0" in text


EVENTS = st.lists(
    st.tuples(
        st.sampled_from("abcdefgh"),
        st.one_of(
            st.none(),
            st.tuples(
                st.sampled_from(["red shoe", "blue shoe", "red hat", "green sock"]), st.booleans(), st.integers(0, 3)
            ),
        ),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(EVENTS, st.integers(1, 40), st.integers(0, 40))
def test_batches_and_restarts_do_not_change_the_outcome(events: list[Any], batch: int, restart_after: int) -> None:
    """One event at a time without a restart, and in batches with a restart in between, end in the same lists."""
    slow, fast = Shop(batch=1), Shop(batch=batch)
    for number, (id, state) in enumerate(events):
        for shop in (slow, fast):
            if state is None:
                shop.delete(id)
            else:
                title, available, price = state
                shop.send(id, title, available=available, price=price)
        slow.drain()
        if number == restart_after:
            fast.start()
    slow.drain()
    fast.drain()
    assert _rounded(slow.store) == _rounded(fast.store)
    assert slow.store.cards == fast.store.cards


def _rounded(store: MemoryStore) -> dict[str, list[float]]:
    """Scores only: which of several twins is named may differ."""
    return {id: [round(score, 5) for _, score in names] for id, names in store.lists.items()}


def test_a_wrong_list_is_healed_and_published_without_an_event() -> None:
    shop = filled()
    right = {id: list(entries) for id, entries in shop.store.lists.items()}
    rows = shop.graph.sites.rows
    slot = shop.catalogue.get("a").slot  # type: ignore[union-attr]
    site = int(shop.graph._site_of[slot])
    rows.dist[site, : rows.filled[site]] += 0.5
    shop.store.lists["a"] = []
    shop.now += 5
    shop.step()
    assert {id: [other for other, _ in entries] for id, entries in shop.store.lists.items()} == {
        id: [other for other, _ in entries] for id, entries in right.items()
    }
    assert shop.counted() == {"embedded": 5}


def test_identical_products_name_each_other_in_a_ring() -> None:
    shop = filled()
    for number in range(8):
        shop.send(f"twin{number}", "grey sock")
    shop.drain()
    assert shop.store.lists["twin6"] == [("twin7", 1.0), ("twin0", 1.0), ("twin1", 1.0)]
    shop.delete("twin7")
    shop.send("twin0", "grey sock", available=False)
    shop.drain()
    assert shop.names("twin6") == {"twin1", "twin2", "twin3"}
    assert not shop.named_anywhere("twin7")
    assert not shop.named_anywhere("twin0")
    assert shop.names("twin0") == {"twin1", "twin2", "twin3"}


def test_a_euclidean_generation_takes_vectors_as_they_are() -> None:
    shop = Shop(metric="euclidean")
    for id, x in {"a": 1.0, "b": 2.0, "c": 30.0}.items():
        shop.send(id, embedding=[x] + [0.0] * (DIM - 1))
    shop.send("d", embedding=[2 * LONGEST] + [0.0] * (DIM - 1))
    shop.drain()
    assert shop.store.lists["a"] == [("b", -1.0), ("c", -29.0)]
    (letter,) = shop.log.dead_letters
    assert letter.reason == "InvalidEmbedding"
    assert "2e+15" in letter.message
