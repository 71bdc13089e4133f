"""The dead-letter topic: records that cannot be applied, byte for byte, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumer.types import DeadLetter
from producer.errors import ProducerError
from producer.topics import DEAD_LETTERS, MAX_MESSAGE_BYTES, ensure_topics

log = structlog.get_logger(__name__)

TIMEOUT = 10.0
"""Seconds that the brokers have to acknowledge a letter."""

MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._MSG_TIMED_OUT)
"""A client that never saw the topic waits for it until its time is up."""

Report = Callable[[KafkaError | None, Message], None]


class Letters:
    """Sends to ``<topic>.dlq``."""

    def __init__(self, config: Mapping[str, str], topic: str) -> None:
        self._config = config
        self._topic = f"{topic}.dlq"
        self._producer = _connected(config)

    def send(self, letters: Sequence[DeadLetter]) -> None:
        """Send, and wait for the brokers' word on each. A value that the topic does not take is left out of its letter.

        A topic that is gone is made again, for the next try.

        Raises:
            KafkaException: not all were acknowledged.
        """
        failed = self._attempt(letters)
        too_large = [letter for letter, error in failed if error.code() == KafkaError.MSG_SIZE_TOO_LARGE]
        others = [error for _, error in failed if error.code() != KafkaError.MSG_SIZE_TOO_LARGE]
        others += [error for _, error in self._attempt([_emptied(letter) for letter in too_large])]
        if others:
            if others[0].code() in MISSING:
                self._make_topic()
            raise KafkaException(others[0])

    def _make_topic(self) -> None:
        try:
            ensure_topics(self._config, {self._topic: DEAD_LETTERS})
        except ProducerError as error:
            log.warning("cannot see to it that there is a dead-letter topic", reason=str(error))

    def ping(self) -> None:
        """Ask the brokers for the topic.

        Raises:
            KafkaException: they do not answer.
        """
        self._producer.list_topics(self._topic, timeout=2.0)

    def close(self) -> None:
        """Wait for what is under way."""
        self._producer.flush(TIMEOUT)

    def _attempt(self, letters: Sequence[DeadLetter]) -> list[tuple[DeadLetter, KafkaError]]:
        """Send; returns what was not acknowledged, and why."""
        failed: list[tuple[DeadLetter, KafkaError]] = []
        for letter in letters:
            try:
                self._produce(letter, partial(_note, failed, letter))
            except KafkaException as error:
                failed.append((letter, error.args[0]))
        self._producer.flush(2 * TIMEOUT)
        if any(error.code() == KafkaError._MSG_TIMED_OUT for _, error in failed):
            self._producer = _connected(self._config)  # this one may have forgotten all brokers: see KafkaSource._renew
        return failed

    def _produce(self, letter: DeadLetter, report: Report) -> None:
        record = letter.record
        headers: list[tuple[str, str | bytes | None]] = [*(record.headers or []), *_reasons(letter)]
        while True:
            try:
                self._producer.produce(self._topic, record.value, record.key, on_delivery=report, headers=headers)
                return
            except BufferError:
                self._producer.poll(0.1)


def _connected(config: Mapping[str, str]) -> Producer:
    return Producer(
        {
            **config,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 0,
            "compression.type": "lz4",
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "message.timeout.ms": int(TIMEOUT * 1000),
        }
    )


def _note(
    failed: list[tuple[DeadLetter, KafkaError]], letter: DeadLetter, error: KafkaError | None, message: Message
) -> None:
    if error is not None:
        failed.append((letter, error))


def _emptied(letter: DeadLetter) -> DeadLetter:
    """The letter without the value of its record, but with its size."""
    record = letter.record
    size = ("kinstream.value.bytes", str(len(record.value or b"")).encode())
    slim = msgspec.structs.replace(record, value=None, headers=[*(record.headers or []), size])
    return msgspec.structs.replace(letter, record=slim)


def _reasons(letter: DeadLetter) -> list[tuple[str, bytes]]:
    record = letter.record
    told = {
        "error.class": letter.reason,
        "error.message": letter.message,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(round(record.timestamp * 1000)),
    }
    return [(f"kinstream.{name}", text.encode()) for name, text in told.items()]
