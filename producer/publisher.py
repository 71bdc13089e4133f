"""The publisher: products into Kafka, each acknowledged by all replicas, none twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from producer.errors import ProducerError
from producer.events import Product, encode_product, product_from
from producer.kafka_config import QUIET
from producer.topics import PRODUCTS, ensure_topics, unreachable

DELIVERY_SECONDS = 30.0
"""How long a product may wait for its acknowledgement."""
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


class Publisher:
    """Publishes full product states; use it as a context manager.

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

        Raises:
            ServerUnreachable: no broker answers.
        """
        self.delivered = 0
        self.failures: Counter[str] = Counter()
        self._topic = topic
        self._clock = clock
        self._config = {**QUIET, "bootstrap.servers": bootstrap, **(config or {})}
        ensure_topics(self._config, {topic: PRODUCTS})
        self._producer = Producer(
            {
                **self._config,
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 5,
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
            }
        )

    def publish(self, product: Product | Mapping[str, Any]) -> None:
        """Queue the full state of a product; waits while the queue is full.

        Raises:
            BadEvent: a mapping that is not a valid product.
            ServerUnreachable: the queue stays full, since no broker takes anything.
        """
        checked = product if isinstance(product, Product) else product_from(dict(product), None)
        self._queue(checked.id, encode_product(checked))

    def delete(self, id: str) -> None:
        """Queue a deletion."""
        self._queue(id, None)

    def flush(self, timeout: float = DELIVERY_SECONDS + 5) -> None:
        """Wait until everything queued is acknowledged.

        Raises:
            ServerUnreachable: not in time.
            ProducerError: the brokers refused something.
        """
        waiting = self._producer.flush(timeout)
        if waiting:
            raise unreachable(self._config, f"{waiting} products were not acknowledged within {timeout:g} s")
        if self.failures:
            reasons = ", ".join(f"{reason} ({number} times)" for reason, number in self.failures.items())
            raise ProducerError(f"Kafka did not take everything sent to {self._topic}: {reasons}; publish it again")

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.flush()

    def _queue(self, id: str, value: bytes | None) -> None:
        deadline = self._clock() + DELIVERY_SECONDS
        while True:
            try:
                self._producer.produce(self._topic, key=id.encode(), value=value, on_delivery=self._report)
                self._producer.poll(0)
                return
            except BufferError:
                if self._clock() > deadline:
                    raise unreachable(self._config, "its queue has been full for too long") from None
                self._producer.poll(0.1)

    def _report(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.delivered += 1
        else:
            self.failures[error.str()] += 1
