"""Topics are made with the right settings when they are missing; existing ones are left as they are."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # not in its __all__

from producer.complaints import Complaints
from producer.errors import ProducerError, ServerUnreachable

log = logging.getLogger(__name__)

TIMEOUT = 10.0
"""Seconds that the brokers have for an answer."""
MAX_MESSAGE_BYTES = str(16 * 1024 * 1024)
PRODUCTS = {"cleanup.policy": "compact", "max.message.bytes": MAX_MESSAGE_BYTES}
"""Settings of the topic of products: the last state of each product is kept for ever."""
DEAD_LETTERS = {"cleanup.policy": "delete", "max.message.bytes": MAX_MESSAGE_BYTES}


def ensure_topics(
    config: Mapping[str, str], topics: Mapping[str, Mapping[str, str]], partitions: int = 4, replication: int = -1
) -> list[str]:
    """Create the topics that are missing; returns their names. ``replication`` -1 is the cluster's default.

    Raises:
        ServerUnreachable: no broker answers.
        ProducerError: a setting is wrong, or a broker refuses to create a topic.
    """
    complaints = Complaints()
    admin = _admin(config, complaints)
    try:
        existing = complaints.metadata(admin, TIMEOUT).topics
    except KafkaException as error:
        raise unreachable(config, error, complaints.reason()) from error
    missing = [
        NewTopic(name, num_partitions=partitions, replication_factor=replication, config=dict(settings))
        for name, settings in topics.items()
        if name not in existing
    ]
    if missing:
        _create(admin, missing)
    return [topic.topic for topic in missing]


def unreachable(config: Mapping[str, str], error: object, complaint: str | None = None) -> ServerUnreachable:
    """The error for a cluster that does not answer, or has a complaint about the settings."""
    address = config["bootstrap.servers"]
    if complaint is not None:
        return ServerUnreachable(f"Kafka at {address} turns us away ({complaint}); correct KINSTREAM_KAFKA_CONFIG")
    reason = error.args[0].str() if isinstance(error, KafkaException) else error
    return ServerUnreachable(
        f"Kafka at {address} does not answer ({reason}); start it, or set KINSTREAM_KAFKA, and KINSTREAM_KAFKA_CONFIG "
        "where it wants TLS or a password"
    )


def wrong_settings(error: KafkaException) -> ProducerError:
    """The error for settings that the client library does not take."""
    return ProducerError(f"a Kafka setting is wrong ({error.args[0].str()}): correct KINSTREAM_KAFKA_CONFIG")


def _admin(config: Mapping[str, str], complaints: Complaints) -> AdminClient:
    settings: dict[str, Any] = {**config, "error_cb": complaints.note}
    try:
        return AdminClient(settings)
    except KafkaException as error:
        raise wrong_settings(error) from error


def _create(admin: AdminClient, topics: list[NewTopic]) -> None:
    futures = admin.create_topics(topics, operation_timeout=TIMEOUT, request_timeout=2 * TIMEOUT)
    for name, future in futures.items():
        try:
            future.result()
            log.info("created topic %s", name)
        except KafkaException as error:
            problem = error.args[0]
            if problem.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise ProducerError(
                    f"topic {name} does not exist and cannot be created ({problem.str()}): create it, or name another"
                ) from error
