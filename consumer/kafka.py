"""The source on Kafka.

Every service of a generation needs every partition, so the partitions are assigned, not shared out by the group; the group
only keeps the committed offsets, for monitoring and for telling new events from those that were readable before. Hence no
rebalance takes a partition away, however long a batch takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from consumer.errors import ServerUnavailable, TopicRecreated
from consumer.kafka_records import consumer_config, record_of
from consumer.letters import Letters
from consumer.topic import TopicView, settling, unavailable
from consumer.types import Batch, DeadLetter, Offsets, Record, TopicFacts
from producer.topics import TIMEOUT

log = structlog.get_logger(__name__)

DISCOVER_SECONDS = 30.0
"""How often to look for partitions that were added, and whether the topic is still the same."""
UNANSWERED_SECONDS = 5.0
"""How soon to look again when no broker answered."""
UNANSWERED = 2
"""After so many times in a row the clients are made anew: see ``KafkaSource._renew``."""


class KafkaSource:
    """Reads all partitions of a topic."""

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
        self._config = config
        self._group = group
        self._connect()
        self._identity = ""
        self._positions: Offsets = {}
        self._ends: Offsets = {}
        self._stored: Offsets = {}
        self._wanted: Offsets = {}
        """The last offsets that were to be committed."""
        self._refused = False
        self._discover_at = clock() + DISCOVER_SECONDS
        self._unanswered = 0

    def topic(self) -> TopicFacts:
        """What the topic is at this moment."""
        return settling(self._view.facts)

    def begin(self, offsets: Offsets) -> None:
        """Read on from the offsets."""
        self._identity = settling(self._view.identity)
        settling(lambda: self._assign(self._view.partitions(), offsets))

    def poll(self, max_records: int, timeout: float) -> Batch:
        """Wait for a first record, then at most the linger time for more."""
        if self._clock() > self._discover_at:
            self._discover()
        if self._refused:
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
        self._wanted |= offsets
        partitions = [TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()]
        try:
            self._consumer.commit(offsets=partitions, asynchronous=True)
        except KafkaException as error:
            raise self._unavailable(error) from error

    def committed(self) -> Offsets:
        """The group's offsets, whoever committed them."""
        places = self._positions or [(self._topic, number) for number in self._view.partitions()]
        wanted = [TopicPartition(*place) for place in places]
        try:
            found = self._consumer.committed(wanted, timeout=TIMEOUT)
        except KafkaException as error:
            raise self._unavailable(error) from error
        committed = {(p.topic, p.partition): p.offset for p in found if p.offset != OFFSET_INVALID}
        self._stored |= committed
        return committed

    def caught_up(self) -> bool:
        """Whether everything that the topic held at the beginning has been read."""
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

    def _connect(self) -> None:
        self._consumer = Consumer({**consumer_config(self._config, self._group), "on_commit": self._on_commit})
        self._letters = Letters(self._config, self._topic)
        self._view = TopicView(self._config, self._topic, self._consumer)

    def _renew(self) -> None:
        """Make all clients anew and read on.

        A broker that starts may name no brokers at all for a moment. librdkafka 2.10 to 2.16 then forgets those it knew,
        and finds none again for as long as the client lives (its issue 5301).
        """
        log.warning("no broker has answered for a while: connecting anew", kafka=self._config["bootstrap.servers"])
        threading.Thread(target=self._consumer.close, name="forsaken consumer", daemon=True).start()
        self._connect()
        self._consumer.incremental_assign(
            [TopicPartition(*place, at or OFFSET_BEGINNING) for place, at in self._positions.items()]
        )
        self._refused, self._unanswered = bool(self._wanted), 0

    def _assign(self, partitions: list[int], offsets: Offsets) -> None:
        bounds = self._view.watermarks(partitions)
        self._ends |= {partition: high for partition, (low, high) in bounds.items() if high > low}
        self._positions |= {partition: offsets.get(partition, 0) for partition in bounds}
        self.committed()
        self._consumer.incremental_assign(
            [TopicPartition(*partition, offsets.get(partition, OFFSET_BEGINNING)) for partition in bounds]
        )

    def _discover(self) -> None:
        self._discover_at = self._clock() + DISCOVER_SECONDS
        try:
            self._check_identity()
            added = [number for number in self._view.partitions() if (self._topic, number) not in self._positions]
            if added:
                log.info("partitions were added", topic=self._topic, partitions=added)
                self._assign(added, {})
            self._unanswered = 0
        except ServerUnavailable as error:
            log.warning("cannot look for new partitions now", reason=str(error))
            self._discover_at = self._clock() + UNANSWERED_SECONDS
            self._unanswered += 1
            if self._unanswered >= UNANSWERED:
                self._renew()

    def _check_identity(self) -> None:
        identity = self._view.identity()
        if identity != self._identity:
            raise TopicRecreated(
                f"topic {self._topic} was deleted and created again (id {identity}, it was {self._identity}): "
                "it is read from its beginning"
            )

    def _batch(self, messages: Sequence[Message]) -> Batch:
        """The records among the messages. Errors are raised only when there is no record that would be lost with them."""
        records: list[Record] = []
        offsets: Offsets = {}
        failure: KafkaError | None = None
        for message in messages:
            error = message.error()
            if error is None:
                record = record_of(message)
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
        """All that is behind what was wanted, whatever it was that the brokers refused."""
        self._refused = False
        self.commit({place: offset for place, offset in self._wanted.items() if offset > self._stored.get(place, 0)})

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Called by poll and close when the brokers have answered a commit; a refused one is made again by the next poll."""
        if error is not None or any(p.error is not None for p in partitions):
            reason = error or next(p.error for p in partitions if p.error is not None)
            log.warning("offsets were not committed, trying again", reason=reason.str())
            self._refused = True
            return
        self._stored |= {(p.topic, p.partition): p.offset for p in partitions}

    def _unavailable(self, error: object) -> ServerUnavailable:
        return unavailable(self._config, self._topic, error)
