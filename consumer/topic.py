"""What a Kafka topic is, as its brokers tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from producer.topics import TIMEOUT

log = structlog.get_logger(__name__)

RETENTION_SECONDS = 86_400.0
"""Kafka's default for ``delete.retention.ms``."""
RETENTION = "delete.retention.ms"


class TopicAdmin:
    """Asks about one topic."""

    def __init__(self, config: Mapping[str, str], topic: str) -> None:
        self._admin = AdminClient({**config})
        self._topic = topic

    def identity(self) -> str:
        """The id that the brokers gave the topic when it was created.

        Raises:
            KafkaException: they do not answer, or there is no such topic.
        """
        asked = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=TIMEOUT)
        return str(asked[self._topic].result().topic_id)

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
