"""The publisher: products into Kafka, each acknowledged by all replicas, none twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from producer.errors import ProducerError, ServerUnreachable
from producer.events import Product, encode_product, product_from
from producer.kafka_config import QUIET
from producer.product import checked_id
from producer.topics import MAX_MESSAGE_BYTES, PRODUCTS, ensure_topics, unreachable, wrong_settings

DEFAULTS = {
    "compression.type": "lz4",
    "linger.ms": "5",
    # The partitioner of the Java clients: whoever else writes this topic puts a product on the same partition.
    "partitioner": "murmur2_random",
    "queue.buffering.max.kbytes": "65536",
    "delivery.timeout.ms": "30000",
}
"""What an operator's settings may override."""
REQUIRED = {"enable.idempotence": "true", "acks": "all", "message.max.bytes": MAX_MESSAGE_BYTES}
UNANSWERED = (KafkaError._MSG_TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)


class Publisher:
    """Publishes full product states; use it as a context manager.

    ``delivered`` counts what the brokers acknowledged, and ``failed`` what they did not, by reason.

    Example:
        with Publisher("127.0.0.1:9092") as publisher:
            publisher.publish({"id": "p1", "title": "Red shoe", "price": 59.9, "currency": "EUR"})
            publisher.delete("p0")
    """

    def __init__(
        self,
        bootstrap: str = "127.0.0.1:9092",
        topic: str = "products",
        config: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect, and create the topic when it is missing.

        Args:
            bootstrap: brokers as host:port, with commas between.
            topic: where products go.
            config: further librdkafka settings, such as TLS and SASL.
            clock: monotonic seconds.

        Raises:
            ServerUnreachable: no broker answers.
            ProducerError: a setting is wrong, or the topic cannot be created.
        """
        self.delivered = 0
        self.failed: Counter[str] = Counter()
        self._unanswered = 0
        self._topic = topic
        self._clock = clock
        self._connection = {**QUIET, "bootstrap.servers": bootstrap, **(config or {})}
        ensure_topics(self._connection, {topic: PRODUCTS})
        settings = {**DEFAULTS, **self._connection, **REQUIRED}
        self._patience = float(settings["delivery.timeout.ms"]) / 1000
        self._settings = settings
        self._producer = _connected(settings)
        self._forsaken = False

    def publish(self, product: Product | Mapping[str, Any]) -> None:
        """Check and queue the full state of a product; waits while the queue is full.

        Raises:
            BadEvent: it is not a valid product; nothing is queued.
            ServerUnreachable: the queue stays full, since no broker takes anything.
            ProducerError: the brokers shut this producer out.
        """
        fields = msgspec.structs.asdict(product) if isinstance(product, Product) else dict(product)
        checked = product_from(fields, None)
        self._queue(checked.id, encode_product(checked))

    def delete(self, id: str) -> None:
        """Queue a deletion; raises as publish does."""
        self._queue(checked_id(id, None), None)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything queued is acknowledged.

        Args:
            timeout: seconds; the default is long enough for each product to be given up.

        Raises:
            ServerUnreachable: not in time.
            ProducerError: the brokers refused something since the start.
        """
        limit = self._patience + 5 if timeout is None else timeout
        waiting = self._producer.flush(limit)
        if waiting:
            raise unreachable(self._connection, f"{waiting} products were not acknowledged within {limit:g} s")
        if self.failed:
            raise self._undelivered()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.flush()
        elif not isinstance(error, ServerUnreachable):
            self._producer.flush(self._patience)

    def _queue(self, id: str, value: bytes | None) -> None:
        if self._forsaken:
            self._producer.flush(self._patience)
            self._renew()
        deadline = self._clock() + self._patience
        while not self._queued(id.encode(), value):
            if self._clock() > deadline:
                raise unreachable(self._connection, f"the queue has been full for {self._patience:g} s")
            self._producer.poll(0.1)

    def _renew(self) -> None:
        """Connect anew after brokers did not answer in time.

        A broker that starts may name no brokers at all for a moment. librdkafka 2.10 to 2.16 then forgets those it knew,
        and finds none again for as long as the client lives (its issue 5301).
        """
        self._producer, self._forsaken = _connected(self._settings), False

    def _queued(self, key: bytes, value: bytes | None) -> bool:
        """Hand over to the client library; False when its queue is full."""
        try:
            self._producer.produce(self._topic, key=key, value=value, on_delivery=self._report)
            self._producer.poll(0)
        except BufferError:
            return False
        except KafkaException as error:
            raise ProducerError(f"Kafka takes nothing more ({error.args[0].str()}): start again") from error
        return True

    def _report(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.delivered += 1
            return
        self.failed[error.str()] += 1
        self._unanswered += error.code() in UNANSWERED
        self._forsaken |= error.code() in UNANSWERED

    def _undelivered(self) -> ProducerError:
        number = self.failed.total()
        if self._unanswered == number:
            return unreachable(self._connection, f"{number} products were not acknowledged in time")
        reasons = ", ".join(f"{reason} ({times} times)" for reason, times in self.failed.items())
        return ProducerError(f"Kafka did not take everything sent to {self._topic}: {reasons}; publish it again")


def _connected(settings: Mapping[str, str]) -> Producer:
    try:
        return Producer({**settings})
    except KafkaException as error:
        raise wrong_settings(error) from error
