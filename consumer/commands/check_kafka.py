"""``doctor`` on Kafka: the brokers, the topics, and their settings."""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not in its __all__
    AdminClient,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from consumer.commands.findings import Finding, State, good, judged
from consumer.config import Settings
from producer.complaints import Complaints
from producer.errors import ProducerError
from producer.kafka_config import client_config

TIMEOUT = 5.0
"""Seconds that the brokers have for an answer."""
LARGEST_EVENT = 1024 * 1024
"""Bytes of a value that the service still accepts."""


def check_kafka(settings: Settings) -> list[Finding]:
    """Check the brokers and both topics."""
    try:
        config = client_config(settings.kafka, settings.kafka_config)
    except ProducerError as error:
        return [Finding("Kafka settings", State.FAILED, str(error), "correct the file")]
    complaints = Complaints()
    quiet: dict[str, Any] = {**config, "log_level": 0, "logger": _silent(), "error_cb": complaints.note}
    admin = AdminClient(quiet)
    address = config["bootstrap.servers"]
    try:
        metadata = complaints.metadata(admin, TIMEOUT)
        reached = good("Kafka", f"{address}, {len(metadata.brokers)} broker(s)")
        return [reached, *_topics(admin, settings.topic, set(metadata.topics))]
    except KafkaException as error:
        remedy = "start it, or set KINSTREAM_KAFKA and KINSTREAM_KAFKA_CONFIG"
        reason = complaints.reason() or error.args[0].str()
        return [Finding("Kafka", State.UNREACHABLE, f"{address} does not answer ({reason})", remedy)]


def _topics(admin: AdminClient, products: str, existing: set[str]) -> list[Finding]:
    findings: list[Finding] = []
    for topic in (products, f"{products}.dlq"):
        if topic not in existing:
            remedy = "start kinstream run once, which makes it, or make it with the settings of docs/contract.md"
            findings.append(Finding(f"topic {topic}", State.FAILED, "does not exist", remedy))
            continue
        findings.append(good(f"topic {topic}", "exists"))
        configs = _configs(admin, topic)
        if topic == products:
            findings.append(compaction(topic, str(configs["cleanup.policy"].value)))
        findings.append(message_size(topic, int(str(configs["max.message.bytes"].value))))
    return findings


def compaction(topic: str, policy: str) -> Finding:
    """A topic that is not compacted, or deletes by age, loses products."""
    fault = None if policy == "compact" else State.FAILED
    remedy = f"kafka-configs --alter --entity-type topics --entity-name {topic} --add-config cleanup.policy=compact"
    return judged(f"topic {topic} cleanup.policy", fault, policy, remedy)


def message_size(topic: str, limit: int) -> Finding:
    """The largest event that is accepted, with its key and headers, must fit."""
    fault = State.WARNING if limit <= LARGEST_EVENT else None
    remedy = f"set max.message.bytes of {topic} to {2 * LARGEST_EVENT}, or events of nearly 1 MiB are refused"
    return judged(f"topic {topic} max.message.bytes", fault, str(limit), remedy)


def _configs(admin: AdminClient, topic: str) -> dict[str, ConfigEntry]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    answers = admin.describe_configs([resource], request_timeout=TIMEOUT)
    configs: dict[str, ConfigEntry] = answers[resource].result(TIMEOUT)
    return configs


def _silent() -> logging.Logger:
    """The client's own log lines would only repeat what the report says."""
    logger = logging.getLogger("consumer.doctor.kafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
