"""The source on Kafka.

Every service of a generation needs every partition, so the partitions are assigned, not shared out by the group; the group
only keeps the committed offsets, for monitoring and for telling new events from those that were readable before a restart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from consumer.errors import ServerUnavailable
from consumer.letters import Letters
from consumer.types import Batch, DeadLetter, Offsets, Record
from producer.topics import MAX_MESSAGE_BYTES

log = structlog.get_logger(__name__)

REQUEST_TIMEOUT = 10.0
"""Seconds that the brokers have for an answer."""
DISCOVER_SECONDS = 30.0
"""How often to look for partitions that were added."""
SETTLING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)


class KafkaSource:
    """Reads all partitions of a topic from the beginning."""

    def __init__(
        self,
        config: Mapping[str, str],
        topic: str,
        group: str,
        linger: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic = topic
        self._linger = linger
        self._clock = clock
        self._address = config["bootstrap.servers"]
        self._consumer = Consumer({**_consumer_config(config, group), "on_commit": self._on_commit})
        self._letters = Letters(config, topic)
        self._positions: Offsets = {}
        self._ends: Offsets = {}
        self._committed: Offsets = {}
        self._stored: Offsets = {}
        self._uncommitted: Offsets = {}
        self._discovered = clock()
        self._settling(lambda: self._assign(self._partitions()))

    def poll(self, max_records: int, timeout: float) -> Batch:
        """Wait for a first record, then at most the linger time for more."""
        if self._clock() - self._discovered > DISCOVER_SECONDS:
            self._discover()
        if self._uncommitted:
            self._commit_again()
        messages = self._consumer.consume(1, timeout)
        if messages and max_records > 1:
            messages += self._consumer.consume(max_records - 1, self._linger)
        batch = self._batch(messages)
        self._positions.update(batch.offsets)
        return batch

    def commit(self, offsets: Offsets) -> None:
        """Send the offsets; the answer is awaited by the next poll or by close."""
        if not offsets:
            return
        partitions = [TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()]
        try:
            self._consumer.commit(offsets=partitions, asynchronous=True)
        except KafkaException as error:
            raise self._unavailable(error) from error

    def committed(self) -> Offsets:
        """The group's offsets as they were at start."""
        return self._committed

    def caught_up(self) -> bool:
        """Whether everything that the topic held at start has been read."""
        return all(self._positions.get(partition, 0) >= end for partition, end in self._ends.items())

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        """Send to the dead-letter topic and wait for the brokers' word on each."""
        try:
            self._letters.send(letters)
        except KafkaException as error:
            raise self._unavailable(error) from error

    def lag(self) -> Offsets:
        """High watermark, as of the last fetch - offset committed."""
        lags: Offsets = {}
        for topic, number in self._positions:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, number), cached=True)
            lags[topic, number] = max(0, high - self._stored.get((topic, number), 0))
        return lags

    def ping(self) -> None:
        """Ask the brokers for the topic; through the letters' producer, since the consumer may be waiting in poll."""
        try:
            self._letters.ping()
        except KafkaException as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Wait for the last commit and leave."""
        self._letters.close()
        self._consumer.close()

    def _partitions(self) -> list[int]:
        try:
            metadata = self._consumer.list_topics(self._topic, timeout=REQUEST_TIMEOUT).topics[self._topic]
        except KafkaException as error:
            raise self._unavailable(error) from error
        if metadata.error is not None:
            raise self._unavailable(metadata.error) from KafkaException(metadata.error)
        return sorted(metadata.partitions)

    def _settling(self, call: Callable[[], None]) -> None:
        """Right after a start or the creation of a topic, brokers answer for a moment that they have no leader yet."""
        Retrying(
            retry=retry_if_exception(_is_settling),
            wait=wait_fixed(0.2),
            stop=stop_after_delay(REQUEST_TIMEOUT),
            reraise=True,
        )(call)

    def _assign(self, partitions: list[int]) -> None:
        wanted = [TopicPartition(self._topic, number) for number in partitions]
        try:
            committed = self._consumer.committed(wanted, timeout=REQUEST_TIMEOUT)
            ends = {
                (self._topic, number): self._consumer.get_watermark_offsets(
                    TopicPartition(self._topic, number), timeout=REQUEST_TIMEOUT
                )
                for number in partitions
            }
        except KafkaException as error:
            raise self._unavailable(error) from error
        fresh = {(p.topic, p.partition): p.offset for p in committed if p.offset != OFFSET_INVALID}
        self._committed |= fresh
        self._stored |= fresh
        self._ends |= {partition: high for partition, (low, high) in ends.items() if high > low}
        self._positions |= dict.fromkeys(ends, 0)
        self._consumer.incremental_assign([TopicPartition(self._topic, n, OFFSET_BEGINNING) for n in partitions])

    def _discover(self) -> None:
        self._discovered = self._clock()
        try:
            added = [number for number in self._partitions() if (self._topic, number) not in self._positions]
            if added:
                log.info("partitions were added", topic=self._topic, partitions=added)
                self._assign(added)
        except ServerUnavailable as error:
            log.warning("cannot look for new partitions now", reason=str(error))

    def _batch(self, messages: Sequence[Message]) -> Batch:
        """The records among the messages. Errors are raised only when there is no record that would be lost with them."""
        records: list[Record] = []
        offsets: Offsets = {}
        failure: KafkaError | None = None
        for message in messages:
            error = message.error()
            if error is None:
                record = _record(message)
                records.append(record)
                offsets[record.topic, record.partition] = record.offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                self._at_end(message)
            else:
                failure = error
        if failure is not None and not records:
            raise self._unavailable(failure)
        return Batch(records, offsets)

    def _at_end(self, message: Message) -> None:
        """The end of a partition may lie behind the last record: transaction markers take offsets too."""
        partition = (self._topic, message.partition() or 0)
        self._positions[partition] = max(self._positions.get(partition, 0), message.offset() or 0)

    def _commit_again(self) -> None:
        """What was committed since then is further on, so the later offset of each partition counts."""
        offsets = {place: max(offset, self._stored.get(place, 0)) for place, offset in self._uncommitted.items()}
        self._uncommitted = {}
        self.commit(offsets)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Called by poll and close when the brokers have answered a commit; a failed one is made again by the next poll."""
        if error is not None:
            log.warning("offsets were not committed, trying again", reason=error.str())
            self._uncommitted |= {(p.topic, p.partition): p.offset for p in partitions}
            return
        self._stored |= {(p.topic, p.partition): p.offset for p in partitions if p.error is None}

    def _unavailable(self, error: object) -> ServerUnavailable:
        return ServerUnavailable(
            f"Kafka at {self._address} cannot serve topic {self._topic} ({error}); start it, or set KINSTREAM_KAFKA"
        )


def _is_settling(error: BaseException) -> bool:
    cause = error.__cause__
    return isinstance(cause, KafkaException) and cause.args[0].code() in SETTLING


def _record(message: Any) -> Record:
    """Typed Any: the library types every field of a message as optional, those of a record never are."""
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


def _consumer_config(config: Mapping[str, str], group: str) -> dict[str, str | int | bool | float]:
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
