"""What a Kafka topic is, as its brokers tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from consumer.errors import ServerUnavailable
from consumer.kafka_records import is_settling
from consumer.types import TopicFacts
from producer.topics import TIMEOUT

log = structlog.get_logger(__name__)
T = TypeVar("T")

RETENTION_SECONDS = 86_400.0
"""Kafka's default for ``delete.retention.ms``."""
RETENTION = "delete.retention.ms"


class TopicView:
    """Asks about one topic, through a consumer and a client of its own."""

    def __init__(self, config: Mapping[str, str], topic: str, consumer: Consumer) -> None:
        self._config = config
        self._topic = topic
        self._consumer = consumer
        self._admin = AdminClient({**config})

    def facts(self) -> TopicFacts:
        """Everything that a start wants to know.

        Raises:
            ServerUnavailable: the brokers do not answer, or there is no such topic; so do all of these.
        """
        bounds = self.watermarks(self.partitions())
        return TopicFacts(
            identity=self.identity(),
            low={partition: low for partition, (low, _) in bounds.items()},
            high={partition: high for partition, (_, high) in bounds.items()},
            retention_seconds=self.retention_seconds(),
        )

    def partitions(self) -> list[int]:
        """Their numbers."""
        try:
            metadata = self._consumer.list_topics(self._topic, timeout=TIMEOUT).topics[self._topic]
        except KafkaException as error:
            raise unavailable(self._config, self._topic, error) from error
        if metadata.error is not None:
            raise unavailable(self._config, self._topic, metadata.error) from KafkaException(metadata.error)
        return sorted(metadata.partitions)

    def watermarks(self, partitions: Sequence[int]) -> dict[tuple[str, int], tuple[int, int]]:
        """First offset and next offset of each."""
        places = [(self._topic, number) for number in partitions]
        try:
            return {
                place: self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=TIMEOUT) for place in places
            }
        except KafkaException as error:
            raise unavailable(self._config, self._topic, error) from error

    def identity(self) -> str:
        """The id that the brokers gave the topic when it was created."""
        try:
            asked = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=TIMEOUT)
            return str(asked[self._topic].result().topic_id)
        except KafkaException as error:
            raise unavailable(self._config, self._topic, error) from error

    def retention_seconds(self) -> float:
        """How long a tombstone is kept at least; Kafka's default when the settings may not be read."""
        resource = ConfigResource(ResourceType.TOPIC, self._topic)
        try:
            (asked,) = self._admin.describe_configs([resource], request_timeout=TIMEOUT).values()
            settings: dict[str, Any] = asked.result()
            return float(settings[RETENTION].value) / 1000
        except (KafkaException, KeyError) as error:
            log.warning(
                "cannot read the topic's settings; taking Kafka's default", setting=RETENTION, reason=str(error)
            )
            return RETENTION_SECONDS


def settling(call: Callable[[], T]) -> T:
    """Right after a start or the creation of a topic, brokers answer for a moment that they have no leader yet."""
    return Retrying(
        retry=retry_if_exception(is_settling),
        wait=wait_fixed(0.2),
        stop=stop_after_delay(TIMEOUT),
        reraise=True,
    )(call)


def unavailable(config: Mapping[str, str], topic: str, error: object) -> ServerUnavailable:
    """The error for brokers that cannot serve the topic."""
    return ServerUnavailable(
        f"Kafka at {config['bootstrap.servers']} cannot serve topic {topic} ({error}); start it, or set KINSTREAM_KAFKA"
    )
