"""Source and store in memory: under the same contract as Kafka and Redis, for tests and for embedding kinstream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from consumer.errors import KinstreamError
from consumer.types import FIXED, Batch, Changes, DeadLetter, Generation, Offsets, Record


class MemoryLog:
    """A topic with partitions; outlives the sources that read it."""

    def __init__(self, topic: str = "products", partitions: int = 1) -> None:
        self.topic = topic
        self.partitions: list[list[Record]] = [[] for _ in range(partitions)]
        self.committed: Offsets = {}
        self.dead_letters: list[DeadLetter] = []

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        *,
        partition: int = 0,
        timestamp: float = 0.0,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> Record:
        """Add a record to a partition."""
        log = self.partitions[partition]
        record = Record(self.topic, partition, len(log), timestamp, key, value, headers)
        log.append(record)
        return record


class MemorySource:
    """Reads a MemoryLog from its beginning."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._next = [0] * len(log.partitions)
        self._ends = [len(partition) for partition in log.partitions]
        self._committed = dict(log.committed)

    def poll(self, max_records: int, timeout: float) -> Batch:
        """Take what is there; never waits."""
        records: list[Record] = []
        for number, partition in enumerate(self._log.partitions):
            start = self._next[number]
            taken = partition[start : start + max_records - len(records)]
            self._next[number] += len(taken)
            records += taken
        return Batch(records, {(self._log.topic, record.partition): record.offset + 1 for record in records})

    def commit(self, offsets: Offsets) -> None:
        """Remember the offsets in the log."""
        self._log.committed.update(offsets)

    def committed(self) -> Offsets:
        """The offsets as they were at start."""
        return self._committed

    def caught_up(self) -> bool:
        """Whether everything that the log held at start has been read."""
        return all(position >= end for position, end in zip(self._next, self._ends, strict=True))

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        """Keep the letters in the log."""
        self._log.dead_letters += letters

    def lag(self) -> Offsets:
        """End of each partition - offset committed."""
        topic = self._log.topic
        return {
            (topic, number): len(partition) - self._log.committed.get((topic, number), 0)
            for number, partition in enumerate(self._log.partitions)
        }

    def ping(self) -> None:
        """Memory always answers."""

    def close(self) -> None:
        """Nothing to close."""


class MemoryStore:
    """Lists and cards of one generation in dictionaries; ``metas`` and ``live`` stand for the keys that all share."""

    def __init__(self, generation: str) -> None:
        self.metas: dict[str, Generation] = {}
        self.live: str | None = None
        self.lists: dict[str, list[tuple[str, float]]] = {}
        self.cards: dict[str, dict[str, str]] = {}
        self._generation = generation

    def open(self, generation: Generation) -> None:
        """Register the generation or check it."""
        stored = self.metas.setdefault(generation.name, generation)
        for setting in FIXED:
            if getattr(stored, setting) != getattr(generation, setting):
                raise KinstreamError(
                    f"generation {generation.name} was built with {setting} {getattr(stored, setting)}, "
                    f"this service has {getattr(generation, setting)}"
                )

    def write(self, changes: Changes, now: float) -> None:
        """Write everything."""
        for write in changes.lists:
            self.lists[write.id] = write.neighbours
        for card in changes.cards:
            self.cards[card.id] = card.fields | {"seen_at": f"{now:.6f}"}
        self.remove(changes.removed)
        self._update(products=changes.products)

    def ids(self) -> Iterator[str]:
        """Ids that have a list or a card."""
        return iter([*self.lists, *self.cards])

    def remove(self, ids: Iterable[str]) -> None:
        """Remove lists and cards."""
        for id in ids:
            self.lists.pop(id, None)
            self.cards.pop(id, None)

    def ready(self, products: int) -> None:
        """Mark the generation as ready; the first one becomes live."""
        self.live = self.live or self._generation
        self._update(products=products, state="live" if self.live == self._generation else "ready")

    def ping(self) -> None:
        """Memory always answers."""

    def close(self) -> None:
        """Nothing to close."""

    def _update(self, **fields: object) -> None:
        self.metas[self._generation] = msgspec.structs.replace(self.metas[self._generation], **fields)
