"""The publisher against a client library that behaves badly on demand."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from producer import publisher as module
from producer.errors import ProducerError, ServerUnreachable
from producer.events import BadEvent, Product
from producer.publisher import Publisher
from producer.topics import ensure_topics

Report = Callable[[KafkaError | None, Any], None]


class Library:
    """In place of confluent-kafka's producer; holds at most ``room`` messages, and answers each with ``answer``."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = settings
        self.room = 100.0
        self.answer: KafkaError | None = None
        self.stuck = False
        self.fatal: KafkaError | None = None
        self.sent: list[tuple[str, bytes, bytes | None]] = []
        self.answered = 0
        self._waiting: list[Report] = []

    def produce(self, topic: str, key: bytes, value: bytes | None, on_delivery: Report) -> None:
        if self.fatal is not None:
            raise KafkaException(self.fatal)
        if len(self._waiting) >= self.room:
            raise BufferError("Local: Queue full")
        self.sent.append((topic, key, value))
        self._waiting.append(on_delivery)

    def poll(self, timeout: float) -> int:
        return self.flush(timeout) if timeout else 0

    def flush(self, timeout: float) -> int:
        assert timeout >= 0
        if not self.stuck:
            reports, self._waiting = self._waiting, []
            for report in reports:
                self.answered += 1
                report(self.answer, None)
        return len(self._waiting)


class Clock:
    """Each look at it takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library({})

    def connect(settings: Mapping[str, str]) -> Library:
        library.settings = settings
        return library

    monkeypatch.setattr(module, "Producer", connect)
    monkeypatch.setattr(module, "ensure_topics", lambda config, topics: list(topics))
    return library


SHOE = {"id": "p1", "title": "Red shoe", "price": 59.9}
TIMED_OUT = KafkaError(KafkaError._MSG_TIMED_OUT)


def test_products_are_sent_and_counted(library: Library) -> None:
    with Publisher("a:9092", "shop") as publisher:
        publisher.publish(SHOE)
        publisher.publish(Product(id="p2", title="<b>Sock</b>"))
        publisher.delete("p3")

    assert library.sent == [
        ("shop", b"p1", b'{"id":"p1","title":"Red shoe","price":59.9}'),
        ("shop", b"p2", b'{"id":"p2","title":"Sock"}'),
        ("shop", b"p3", None),
    ]
    assert (publisher.delivered, publisher.failed.total()) == (3, 0)


def test_the_promises_cannot_be_configured_away(library: Library) -> None:
    Publisher("a:9092", "shop", {"acks": "1", "enable.idempotence": "false", "linger.ms": "50"})

    assert library.settings["acks"] == "all"
    assert library.settings["enable.idempotence"] == "true"
    assert library.settings["message.max.bytes"] == str(16 * 1024 * 1024)
    assert library.settings["linger.ms"] == "50"


@pytest.mark.parametrize(
    ("product", "reason"),
    [
        ({"id": "p1"}, "MissingTitle"),
        ({"id": "p1", "title": "x", "price": math.nan}, "InvalidProduct"),
        ({"id": "p1", "title": "x" * 1024 * 1024}, "TooLarge"),
        (Product(id="p1", title="x", price=-1.0), "InvalidProduct"),
        (Product(id="", title="x"), "InvalidProduct"),
    ],
)
def test_what_would_be_refused_is_not_sent(library: Library, product: Any, reason: str) -> None:
    with Publisher("a:9092", "shop") as publisher:
        with pytest.raises(BadEvent) as refused:
            publisher.publish(product)
        with pytest.raises(BadEvent):
            publisher.delete("x" * 513)

    assert refused.value.reason == reason
    assert library.sent == []


def test_a_full_queue_is_waited_for(library: Library) -> None:
    library.room = 2
    with Publisher("a:9092", "shop", clock=Clock()) as publisher:
        for number in range(7):
            publisher.delete(f"p{number}")

    assert [key for _, key, _ in library.sent] == [f"p{number}".encode() for number in range(7)]
    assert publisher.delivered == 7


def test_a_queue_that_stays_full_is_given_up(library: Library) -> None:
    library.room, library.stuck = 1, True
    publisher = Publisher("a:9092", "shop", clock=Clock())
    publisher.delete("p1")

    with pytest.raises(ServerUnreachable, match=r"a:9092 does not answer .*full for 30 s.* set KINSTREAM_KAFKA"):
        publisher.delete("p2")


def test_waiting_for_acknowledgements_ends(library: Library) -> None:
    library.stuck = True
    publisher = Publisher("a:9092", "shop")
    publisher.delete("p1")

    with pytest.raises(ServerUnreachable, match="1 products were not acknowledged within 2 s"):
        publisher.flush(2)


def test_no_answer_in_time_is_a_server_that_cannot_be_reached(library: Library) -> None:
    library.answer = TIMED_OUT

    with pytest.raises(ServerUnreachable, match="1 products"), Publisher("a:9092", "shop") as publisher:
        publisher.delete("p1")
    assert publisher.failed == {TIMED_OUT.str(): 1}


def test_a_refused_delivery_is_told_with_its_reason(library: Library) -> None:
    library.answer = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)

    publisher = Publisher("a:9092", "shop")
    publisher.delete("p1")
    publisher.delete("p2")

    with pytest.raises(ProducerError, match=r"sent to shop: .*authorization.* \(2 times\)") as refused:
        publisher.flush()
    assert not isinstance(refused.value, ServerUnreachable)


def test_a_fatal_error_ends_it(library: Library) -> None:
    library.fatal = KafkaError(KafkaError._FATAL)

    with pytest.raises(ProducerError, match="Kafka takes nothing more"), Publisher("a:9092", "shop") as publisher:
        publisher.delete("p1")


def delete_and_fail(error: Exception) -> None:
    with Publisher("a:9092", "shop") as publisher:
        publisher.delete("p1")
        raise error


def test_an_error_of_the_caller_does_not_lose_what_was_queued(library: Library) -> None:
    with pytest.raises(ZeroDivisionError):
        delete_and_fail(ZeroDivisionError())

    assert library.answered == 1


def test_an_unreachable_server_is_not_waited_for_twice(library: Library) -> None:
    with pytest.raises(ServerUnreachable):
        delete_and_fail(ServerUnreachable("gone"))

    assert library.answered == 0


def test_a_broker_that_is_not_there_is_named_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producer.topics.TIMEOUT", 0.5)
    started = time.monotonic()

    with pytest.raises(ServerUnreachable, match=r"Kafka at 127\.0\.0\.1:1 does not answer .* start it"):
        Publisher("127.0.0.1:1")
    assert time.monotonic() - started < 5


def test_a_setting_that_does_not_exist_is_named() -> None:
    with pytest.raises(ProducerError, match=r'"sasl\.pasword".* correct KINSTREAM_KAFKA_CONFIG'):
        ensure_topics({"bootstrap.servers": "127.0.0.1:1", "sasl.pasword": "hunter2"}, {})
