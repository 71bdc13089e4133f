"""The publisher on a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from producer.commands import publish
from producer.errors import ProducerError
from producer.events import Deletion, Product, decode_event
from producer.kafka_config import client_config
from producer.publisher import Publisher
from producer.topics import DEAD_LETTERS, PRODUCTS, ensure_topics

Events = dict[int, list[Product | Deletion]]


def events_in(kafka: str, topic: str) -> Events:
    """Everything in the topic, in order, by partition."""
    consumer = Consumer({**client_config(kafka, None), "group.id": topic, "enable.auto.commit": False})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        return {number: list(partition_events(consumer, topic, number)) for number in partitions}
    finally:
        consumer.close()


@retry(retry=retry_if_exception_type(KafkaException), stop=stop_after_delay(10), wait=wait_fixed(0.2), reraise=True)
def watermarks(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    """A partition that was just made has no leader for a moment."""
    low, high = consumer.get_watermark_offsets(partition, timeout=10)
    return low, high


def partition_events(consumer: Consumer, topic: str, number: int) -> Iterator[Product | Deletion]:
    low, high = watermarks(consumer, TopicPartition(topic, number))
    consumer.assign([TopicPartition(topic, number, low)])
    while low < high:
        message = consumer.poll(10)
        assert message is not None
        assert message.error() is None
        low = (message.offset() or 0) + 1
        yield decode_event(message.key(), message.value(), None)


def flat(events: Events) -> list[Product | Deletion]:
    return [event for partition in events.values() for event in partition]


def settings_of(kafka: str, topic: str) -> dict[str, str]:
    admin = AdminClient({**client_config(kafka, None)})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries: dict[str, Any] = admin.describe_configs([resource])[resource].result(10)
    return {name: str(entry.value) for name, entry in entries.items()}


def test_products_arrive_as_they_were_sent(kafka: str, topic: str) -> None:
    sent = [Product(id=f"p{n}", title=f"Shoe {n}", price=n + 0.5, attributes={"size": n}) for n in range(1000)]
    with Publisher(kafka, topic) as publisher:
        for product in sent:
            publisher.publish(product)
        publisher.delete("p0")

    found = events_in(kafka, topic)

    assert publisher.delivered == 1001
    assert not publisher.failed
    assert sorted(flat(found), key=str) == sorted([*sent, Deletion("p0")], key=str)
    assert len([events for events in found.values() if events]) == 4, "spread over the partitions"
    (partition,) = [events for events in found.values() if Deletion("p0") in events]
    assert sent[0] in partition[: partition.index(Deletion("p0"))], "after the product, on its partition"


def test_a_mebibyte_passes(kafka: str, topic: str) -> None:
    large = Product(id="p1", title="x", description="é" * (512 * 1024 - 30))
    with Publisher(kafka, topic, {"compression.type": "none"}) as publisher:
        publisher.publish(large)

    assert flat(events_in(kafka, topic)) == [large]


def test_a_missing_topic_is_made_compacted(kafka: str, topic: str) -> None:
    made = ensure_topics(client_config(kafka, None), {topic: PRODUCTS, f"{topic}.dlq": DEAD_LETTERS}, partitions=3)

    assert made == [topic, f"{topic}.dlq"]
    assert len(events_in(kafka, topic)) == 3
    assert settings_of(kafka, topic)["cleanup.policy"] == "compact"
    assert settings_of(kafka, topic)["max.message.bytes"] == str(16 * 1024 * 1024)
    assert settings_of(kafka, f"{topic}.dlq")["cleanup.policy"] == "delete"


def test_an_existing_topic_is_left_as_it_is(kafka: str, topic: str) -> None:
    config = client_config(kafka, None)
    ensure_topics(config, {topic: {"cleanup.policy": "compact,delete"}}, partitions=1)

    assert ensure_topics(config, {topic: PRODUCTS}) == []
    assert settings_of(kafka, topic)["cleanup.policy"] == "compact,delete"
    assert len(events_in(kafka, topic)) == 1


def test_a_topic_that_cannot_be_made_is_named(kafka: str) -> None:
    with pytest.raises(ProducerError, match="topic no spaces please does not exist and cannot be created"):
        Publisher(kafka, "no spaces please")


def test_a_topic_with_a_wrong_setting_is_named(kafka: str, topic: str) -> None:
    with pytest.raises(ProducerError, match=f"topic {topic} does not exist and cannot be created .*tidy"):
        ensure_topics(client_config(kafka, None), {topic: {"cleanup.policy": "tidy"}})


def test_the_command_sends_a_file(kafka: str, topic: str, tmp_path: Path) -> None:
    file = tmp_path / "shop.csv"
    file.write_text("id,name\np1,Red shoe\np2,Sock\n")

    publish([file], delete=["p3"], map=["title=name"], kafka=kafka, topic=topic, state=tmp_path)

    assert sorted(flat(events_in(kafka, topic)), key=str) == [
        Deletion("p3"),
        Product(id="p1", title="Red shoe"),
        Product(id="p2", title="Sock"),
    ]


def test_a_publisher_that_knows_no_broker_any_more_connects_anew(kafka: str, topic: str) -> None:
    """librdkafka becomes like that when a broker that starts names none."""
    publisher = Publisher(kafka, topic, {"delivery.timeout.ms": "2000"})
    publisher._producer = Producer({"bootstrap.servers": "127.0.0.1:1", "delivery.timeout.ms": 300, "log_level": 2})
    publisher.publish({"id": "lost", "title": "first"})
    with pytest.raises(ProducerError, match="1 products were not acknowledged in time"):
        publisher.flush()
    publisher.publish({"id": "lost", "title": "again"})
    with pytest.raises(ProducerError):
        publisher.flush()
    assert publisher.delivered == 1
    assert flat(events_in(kafka, topic)) == [Product(id="lost", title="again")]
