"""A real Kafka broker that clients also reach through a proxy."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]
from daemon import ChaosError, Daemon
from kafka import kafka
from processes import Server, answers, free_port

START_SECONDS = 90.0
ADMIN_SECONDS = 20.0
TOPIC_SETTINGS = {
    "cleanup.policy": "compact", "max.message.bytes": str(16 * 1024 * 1024), "segment.ms": "15000",
    "min.cleanable.dirty.ratio": "0.2",
}  # fmt: skip
"""Small segments, so that the topic is compacted while the suite runs."""

Request = Callable[[AdminClient], "Mapping[str, Future[None]]"]


class Broker(Daemon):
    """``port`` answers directly, ``inner`` is where the proxy on ``outer`` must lead."""

    def __init__(self, folder: Path, cache: Path, outer: int) -> None:
        """``cache`` has the jars; ``outer`` is the port of the proxy."""
        folder.mkdir(parents=True)
        self.port, self.inner = free_port(), free_port()
        self._make: Callable[[], Server] = lambda: kafka(folder, self.port, cache, proxied=(self.inner, outer))
        super().__init__("kafka", [], folder / "server.log")

    @property
    def address(self) -> str:
        """For clients that need no bad weather."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it serves both ports; the first time, fetch its jars and format its storage."""
        self.command = self.command or self._make().command
        self.launch()
        self.wait("listening", lambda: answers(self.port) and answers(self.inner), START_SECONDS, 0.1)

    def make_topic(self, name: str, partitions: int) -> None:
        """Create a compacted topic."""
        self._ask(lambda admin: admin.create_topics([NewTopic(name, partitions, 1, config=TOPIC_SETTINGS)]))

    def add_partitions(self, name: str, total: int) -> None:
        """Let a topic have so many partitions."""
        self._ask(lambda admin: admin.create_partitions([NewPartitions(name, total)]))

    def delete_topic(self, name: str) -> None:
        """Delete a topic, and wait until it is gone."""
        self._ask(lambda admin: admin.delete_topics([name]))
        admin = self._admin()
        self.wait("without the topic", lambda: name not in admin.list_topics(timeout=ADMIN_SECONDS).topics, 30, 0.2)

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address, "log_level": "2"})

    def _ask(self, request: Request) -> None:
        """Ask until the brokers do it: right after another change they may refuse."""
        deadline = time.monotonic() + ADMIN_SECONDS
        admin = self._admin()
        while True:
            try:
                for future in request(admin).values():
                    future.result()
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise ChaosError(f"Kafka refuses: {error.args[0].str()}; see {self.log}") from error
                time.sleep(0.2)
            else:
                return
