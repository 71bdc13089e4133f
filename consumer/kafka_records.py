"""Messages and settings of the Kafka client, as the source needs them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException

from consumer.types import Record
from producer.topics import MAX_MESSAGE_BYTES

SETTLING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)


def is_settling(error: BaseException) -> bool:
    """Whether brokers will answer otherwise in a moment: they have no leader yet."""
    cause = error.__cause__
    return isinstance(cause, KafkaException) and cause.args[0].code() in SETTLING


def record_of(message: Any) -> Record:
    """The record of a message; Any, since the library types its fields as optional, which those of a record never are."""
    kind, milliseconds = message.timestamp()
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        time.time() if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds / 1000,
        message.key(),
        message.value(),
        message.headers(),
    )


def consumer_config(config: Mapping[str, str], group: str) -> dict[str, str | int | bool | float]:
    """Settings of the consumer: no record of an aborted transaction, no commit by itself."""
    return {
        **config,
        "group.id": group,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "queued.max.messages.kbytes": 16 * 1024,
        "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
        "fetch.wait.max.ms": 100,
        "fetch.error.backoff.ms": 100,
    }
