"""The contract of consumer.ports.Source, run on every implementation."""

from __future__ import annotations

import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from consumer.errors import ServerUnavailable, TopicRecreated
from consumer.kafka import KafkaSource
from consumer.memory import MemoryLog, MemorySource
from consumer.ports import Source
from consumer.types import DeadLetter, Offsets, Record
from producer.kafka_config import client_config
from producer.topics import DEAD_LETTERS, ensure_topics

PARTITIONS = 3


class Topic(Protocol):
    """A topic from outside: what a shop and an operator see of it."""

    name: str

    def send(self, key: bytes | None, value: bytes | None, partition: int = 0, **more: Any) -> None: ...
    def source(self, offsets: Offsets | None = None) -> Source: ...
    def make_anew(self) -> None: ...
    def dead_letters(self) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]: ...


class InMemory:
    name = "products"

    def __init__(self) -> None:
        self.log = MemoryLog(self.name, PARTITIONS)

    def send(self, key: bytes | None, value: bytes | None, partition: int = 0, **more: Any) -> None:
        self.log.append(key, value, partition=partition, timestamp=time.time(), headers=more.get("headers"))

    def source(self, offsets: Offsets | None = None) -> Source:
        source = MemorySource(self.log)
        source.begin(offsets or {})
        return source

    def make_anew(self) -> None:
        self.log.identity += "'"

    def dead_letters(self) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
        return [
            (letter.record.key, letter.record.value, {"kinstream.error.class": letter.reason.encode()})
            for letter in self.log.dead_letters
        ]


class OnKafka:
    """Not compacted: a compacted topic takes no records without a key, and this source must cope with them."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.name = name
        self.config = client_config(bootstrap, None)
        ensure_topics(self.config, {name: DEAD_LETTERS, f"{name}.dlq": DEAD_LETTERS}, partitions=PARTITIONS)
        self.producer = Producer({**self.config, "linger.ms": 0})
        self.sources: list[Source] = []
        self.now = 0.0

    def send(self, key: bytes | None, value: bytes | None, partition: int = 0, **more: Any) -> None:
        self.producer.produce(self.name, key=key, value=value, partition=partition, **more)
        assert self.producer.flush(10) == 0

    def source(self, offsets: Offsets | None = None) -> Source:
        source = KafkaSource(self.config, self.name, f"group-{self.name}", 0.005, lambda: self.now + time.monotonic())
        source.begin(offsets or {})
        self.sources.append(source)
        return source

    def make_anew(self) -> None:
        admin = AdminClient(self.config)
        admin.delete_topics([self.name])[self.name].result(10)
        deadline = time.monotonic() + 15
        while self.name in admin.list_topics(timeout=10).topics:
            assert time.monotonic() < deadline
        ensure_topics(self.config, {self.name: DEAD_LETTERS}, partitions=PARTITIONS)
        self.now += 100

    def dead_letters(self) -> list[tuple[bytes | None, bytes | None, dict[str, bytes]]]:
        consumer = Consumer(
            {**self.config, "group.id": "letters", "auto.offset.reset": "earliest", "enable.partition.eof": True}
        )
        consumer.subscribe([f"{self.name}.dlq"])
        found, ends = [], 0
        while ends < PARTITIONS:
            message = consumer.poll(10)
            assert message is not None
            if message.error():
                ends += 1
            else:
                headers: Any = message.headers()
                found.append((message.key(), message.value(), dict(headers)))
        consumer.close()
        return found


@pytest.fixture(params=["memory", "kafka"])
def a_topic(request: pytest.FixtureRequest) -> Iterator[Topic]:
    if request.param == "memory":
        yield InMemory()
        return
    made = OnKafka(request.getfixturevalue("kafka"), request.getfixturevalue("topic"))
    yield made
    for source in made.sources:
        source.close()


def read(source: Source, wanted: int, seconds: float = 15) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + seconds
    while len(records) < wanted and time.monotonic() < deadline:
        records += source.poll(100, 0.1).records
    return records


def until(condition: Callable[[], bool], source: Source, seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        source.poll(1, 0.05)
    return condition()


def test_an_empty_topic_is_caught_up_with(a_topic: Topic) -> None:
    source = a_topic.source()
    assert source.caught_up()
    assert source.poll(10, 0.1).records == []
    assert source.committed() == {}


def test_everything_is_read_in_order_within_a_partition(a_topic: Topic) -> None:
    for n in range(30):
        a_topic.send(str(n).encode(), b"v%d" % n, partition=n % PARTITIONS)
    source = a_topic.source()
    assert not source.caught_up()
    records = read(source, 30)
    for partition in range(PARTITIONS):
        own = [record for record in records if record.partition == partition]
        assert [record.offset for record in own] == list(range(10))
        assert [int(record.key or b"") for record in own] == list(range(partition, 30, PARTITIONS))
    assert source.caught_up()


def test_records_arrive_byte_for_byte(a_topic: Topic) -> None:
    before = time.time()
    a_topic.send(b"k\xff", b"\x00\xfe", headers=[("ce_type", b"x.y"), ("a", b"\xff")])
    a_topic.send(None, b"no key")
    a_topic.send(b"gone", None)
    first, second, third = read(a_topic.source(), 3)
    assert (first.key, first.value, first.headers) == (b"k\xff", b"\x00\xfe", [("ce_type", b"x.y"), ("a", b"\xff")])
    assert before - 1 <= first.timestamp <= time.time() + 1
    assert (second.key, second.value) == (None, b"no key")
    assert (third.key, third.value) == (b"gone", None)


def test_a_batch_knows_the_offsets_that_it_makes_committable(a_topic: Topic) -> None:
    for n in range(5):
        a_topic.send(b"a", b"%d" % n, partition=1)
    batch = a_topic.source().poll(3, 10)
    while len(batch.records) < 1:
        batch = a_topic.source().poll(3, 10)
    assert len(batch.records) <= 3
    assert batch.offsets == {(a_topic.name, 1): batch.records[-1].offset + 1}


def test_committed_offsets_are_the_groups(a_topic: Topic) -> None:
    for n in range(4):
        a_topic.send(b"a", b"%d" % n)
    source, other = a_topic.source(), a_topic.source()
    read(source, 4)
    source.commit({(a_topic.name, 0): 3})
    source.commit({})
    assert until(lambda: other.committed() == {(a_topic.name, 0): 3}, source)
    source.close()
    later = a_topic.source()
    assert later.committed() == {(a_topic.name, 0): 3}
    assert len(read(later, 4)) == 4


def test_reading_begins_at_the_given_offsets(a_topic: Topic) -> None:
    for n in range(6):
        a_topic.send(b"a", b"%d" % n, partition=n % 2)
    source = a_topic.source({(a_topic.name, 0): 2})
    assert not source.caught_up()
    assert {record.value for record in read(source, 4)} == {b"4", b"1", b"3", b"5"}
    assert until(source.caught_up, source)
    assert a_topic.source({(a_topic.name, 0): 3, (a_topic.name, 1): 3}).caught_up()


def test_the_topic_tells_its_bounds_and_who_it_is(a_topic: Topic) -> None:
    for n in range(4):
        a_topic.send(b"a", b"%d" % n, partition=1)
    facts = a_topic.source().topic()
    assert facts.high == {(a_topic.name, 0): 0, (a_topic.name, 1): 4, (a_topic.name, 2): 0}
    assert facts.low == dict.fromkeys(facts.high, 0)
    assert facts.retention_seconds == 86_400
    assert facts.identity == a_topic.source().topic().identity != ""


def test_a_topic_that_was_made_anew_is_noticed(a_topic: Topic) -> None:
    a_topic.send(b"a", b"1")
    source = a_topic.source()
    before = source.topic().identity
    read(source, 1)
    a_topic.make_anew()
    with pytest.raises(TopicRecreated, match=a_topic.name):
        until(lambda: False, source)
    assert a_topic.source().topic().identity != before


def test_lag_is_what_the_group_has_not_committed(a_topic: Topic) -> None:
    for n in range(4):
        a_topic.send(b"a", b"%d" % n, partition=2)
    source = a_topic.source()
    read(source, 4)
    assert until(lambda: source.lag().get((a_topic.name, 2)) == 4, source)
    source.commit({(a_topic.name, 2): 4})
    assert until(lambda: source.lag().get((a_topic.name, 2)) == 0, source)


def test_lag_is_told_of_partitions_that_were_empty_at_start(a_topic: Topic) -> None:
    source = a_topic.source()
    a_topic.send(b"a", b"1", partition=1)
    read(source, 1)
    assert until(lambda: source.lag() == {(a_topic.name, 0): 0, (a_topic.name, 1): 1, (a_topic.name, 2): 0}, source)


def test_caught_up_means_the_end_at_start(a_topic: Topic) -> None:
    a_topic.send(b"a", b"1")
    source = a_topic.source()
    a_topic.send(b"a", b"2")
    read(source, 1)
    assert until(source.caught_up, source)


def test_dead_letters_keep_the_record_and_tell_why(a_topic: Topic) -> None:
    a_topic.send(b"k", b"\xff\x00", headers=[("mine", b"1")])
    a_topic.send(None, b"x")
    source = a_topic.source()
    letters = [DeadLetter(record, "NotJson", "value is not JSON") for record in read(source, 2)]
    source.dead_letter(letters)
    found = sorted(a_topic.dead_letters(), key=lambda letter: letter[0] is None)
    assert [(key, value) for key, value, _ in found] == [(b"k", b"\xff\x00"), (None, b"x")]
    assert [headers["kinstream.error.class"] for _, _, headers in found] == [b"NotJson"] * 2


def test_an_answering_source_can_be_pinged(a_topic: Topic) -> None:
    source = a_topic.source()
    source.ping()
    assert source.caught_up()


def test_dead_letter_headers_on_kafka(kafka: str, topic: str) -> None:
    on_kafka = OnKafka(kafka, topic)
    on_kafka.send(b"k", b"bad", partition=1, headers=[("mine", b"1")])
    source = on_kafka.source()
    (record,) = read(source, 1)
    source.dead_letter([DeadLetter(record, "NotJson", "wrong: é")])
    ((_, _, headers),) = on_kafka.dead_letters()
    source.close()
    assert headers == {
        "mine": b"1",
        "kinstream.error.class": b"NotJson",
        "kinstream.error.message": "wrong: é".encode(),
        "kinstream.topic": topic.encode(),
        "kinstream.partition": b"1",
        "kinstream.offset": b"0",
        "kinstream.timestamp": str(round(record.timestamp * 1000)).encode(),
    }


def test_the_end_of_a_transactional_topic_is_reached(kafka: str, topic: str) -> None:
    """The last offset of such a partition is a marker, never a record; aborted records are never seen."""
    on_kafka = OnKafka(kafka, topic)
    producer = Producer({**on_kafka.config, "transactional.id": topic})
    producer.init_transactions(20)
    for value, end in ((b"kept", producer.commit_transaction), (b"aborted", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, key=b"a", value=value, partition=0)
        producer.flush(10)
        end(20)
    source = on_kafka.source()
    assert [record.value for record in read(source, 1)] == [b"kept"]
    assert until(source.caught_up, source)
    source.close()


def test_partitions_that_are_added_are_read(kafka: str, topic: str) -> None:
    on_kafka = OnKafka(kafka, topic)
    now = 0.0
    source = KafkaSource(on_kafka.config, topic, "g", 0.005, clock=lambda: now)
    source.begin({})
    admin = AdminClient(on_kafka.config)
    admin.create_partitions([NewPartitions(topic, PARTITIONS + 1)])[topic].result(10)
    deadline = time.monotonic() + 15
    found: list[Record] = []
    on_kafka.producer.list_topics(topic, timeout=10)
    on_kafka.send(b"new", b"1", partition=PARTITIONS)
    while not found and time.monotonic() < deadline:
        now += 100
        found = source.poll(10, 0.2).records
    assert [(record.partition, record.key) for record in found] == [(PARTITIONS, b"new")]
    source.close()


def test_a_commit_that_failed_is_made_again_but_never_backwards(kafka: str, topic: str) -> None:
    on_kafka = OnKafka(kafka, topic)
    for n in range(6):
        on_kafka.send(b"a", b"%d" % n)
    source = on_kafka.source()
    read(source, 6)
    source.commit({(topic, 0): 5})
    assert until(lambda: source.lag().get((topic, 0)) == 1, source)
    assert isinstance(source, KafkaSource)
    part = TopicPartition(topic, 0, 6)
    part_refused = types.SimpleNamespace(error=KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
    refusals: list[tuple[KafkaError | None, list[Any]]] = [
        (KafkaError(KafkaError._TRANSPORT), [part]),
        (None, [part_refused]),
    ]
    for wanted, refusal in ((2, refusals[0]), (5, refusals[1]), (6, refusals[1])):
        source._wanted[topic, 0] = wanted
        source._on_commit(*refusal)
        source.poll(1, 0.1)
        source.poll(1, 0.5)
        later = on_kafka.source()
        assert later.committed() == {(topic, 0): max(wanted, 5)}
        later.close()
    source.close()


def test_a_letter_that_the_topic_does_not_take_goes_without_its_value(kafka: str, topic: str) -> None:
    on_kafka = OnKafka(kafka, topic)
    on_kafka.send(b"small", b"x")
    source = on_kafka.source()
    (small,) = read(source, 1)
    noise = np.random.default_rng(0).bytes(17 * 1024 * 1024)
    large = Record(topic, 0, 7, 1.0, b"large", noise)
    source.dead_letter([DeadLetter(large, "TooLarge", "value is too large"), DeadLetter(small, "NotJson", "no")])
    found = {key: (value, headers) for key, value, headers in on_kafka.dead_letters()}
    source.close()
    assert found[b"small"][0] == b"x"
    assert found[b"large"][0] is None
    assert found[b"large"][1]["kinstream.value.bytes"] == str(len(noise)).encode()
    assert found[b"large"][1]["kinstream.error.class"] == b"TooLarge"


def test_a_batch_that_takes_longer_than_the_poll_interval_does_no_harm(kafka: str, topic: str) -> None:
    """Partitions are assigned, so nobody is thrown out of a group."""
    on_kafka = OnKafka(kafka, topic)
    on_kafka.send(b"a", b"1")
    intervals = {"session.timeout.ms": "1000", "heartbeat.interval.ms": "300", "max.poll.interval.ms": "1000"}
    source = KafkaSource({**on_kafka.config, **intervals}, topic, f"group-{topic}", 0.005)
    source.begin({})
    assert len(read(source, 1)) == 1
    threading.Event().wait(1.5)
    on_kafka.send(b"a", b"2")
    assert [record.value for record in read(source, 1)] == [b"2"]
    source.commit({(topic, 0): 2})
    assert until(lambda: source.committed() == {(topic, 0): 2}, source)
    source.close()


def test_what_the_topic_no_longer_holds_is_skipped_and_the_rest_is_read(kafka: str, topic: str) -> None:
    on_kafka = OnKafka(kafka, topic)
    source = on_kafka.source()
    for n in range(20):
        on_kafka.send(b"a", b"%d" % n)
    admin = AdminClient(on_kafka.config)
    admin.delete_records([TopicPartition(topic, 0, 10)])
    late = on_kafka.source()
    values = {record.value for record in read(late, 10)}
    assert values == {b"%d" % n for n in range(10, 20)}
    source.close()


def forsaken(client: Any, on_kafka: OnKafka, **more: Any) -> Any:
    """A client that knows no broker, as librdkafka becomes when a broker that starts names none."""
    return client({**on_kafka.config, "bootstrap.servers": "127.0.0.1:1", **more})


def test_a_consumer_that_knows_no_broker_any_more_is_made_anew(
    kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.topic.TIMEOUT", 0.3)
    on_kafka = OnKafka(kafka, topic)
    source = on_kafka.source()
    assert isinstance(source, KafkaSource)
    on_kafka.send(b"a", b"1")
    assert [record.value for record in read(source, 1)] == [b"1"]
    source._consumer.close()
    source._consumer = source._view._consumer = forsaken(Consumer, on_kafka, **{"group.id": "g"})
    on_kafka.send(b"a", b"2")
    assert source.poll(1, 0.5).records == []
    for _ in range(2):
        on_kafka.now += 100
        source.poll(1, 0)
    monkeypatch.undo()
    assert [record.value for record in read(source, 1)] == [b"2"]
    source.commit({(topic, 0): 2})
    assert until(lambda: source.committed() == {(topic, 0): 2}, source)
    source.close()


def test_letters_that_found_no_broker_are_sent_by_another_client(kafka: str, topic: str) -> None:
    on_kafka = OnKafka(kafka, topic)
    on_kafka.send(b"a", b"1")
    source = on_kafka.source()
    assert isinstance(source, KafkaSource)
    letter = DeadLetter(read(source, 1)[0], "BadEvent", "for a test")
    source._letters._producer = forsaken(Producer, on_kafka, **{"message.timeout.ms": 300})
    with pytest.raises(ServerUnavailable):
        source.dead_letter([letter])
    source.dead_letter([letter])
    assert [value for _, value, _ in on_kafka.dead_letters()] == [b"1"]
    source.close()
