"""Source and store in memory: under the same contract as Kafka and Redis, for tests and for embedding kinstream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from consumer.errors import KinstreamError, TopicRecreated
from consumer.memory_server import Kept, MemoryServer
from consumer.types import FIXED, Batch, Changes, DeadLetter, Generation, Offsets, Record, TopicFacts


class MemoryLog:
    """A topic with partitions; outlives the sources that read it."""

    def __init__(self, topic: str = "products", partitions: int = 1) -> None:
        self.topic = topic
        self.partitions: list[list[Record]] = [[] for _ in range(partitions)]
        self.committed: Offsets = {}
        self.dead_letters: list[DeadLetter] = []
        self.identity = "1"
        self.retention_seconds = 86_400.0

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
    """Reads a MemoryLog."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._next: list[int] = []
        self._ends: list[int] = []
        self._identity = log.identity

    def topic(self) -> TopicFacts:
        """What the log is at this moment."""
        return TopicFacts(
            identity=self._log.identity,
            low={(self._log.topic, number): 0 for number in range(len(self._log.partitions))},
            high={(self._log.topic, number): len(part) for number, part in enumerate(self._log.partitions)},
            retention_seconds=self._log.retention_seconds,
        )

    def begin(self, offsets: Offsets) -> None:
        """Read on from the offsets."""
        self._next = [offsets.get((self._log.topic, number), 0) for number in range(len(self._log.partitions))]
        self._ends = [len(partition) for partition in self._log.partitions]

    def poll(self, max_records: int, timeout: float) -> Batch:
        """Take what is there; never waits."""
        if self._log.identity != self._identity:
            raise TopicRecreated(f"{self._log.topic} was made anew: it is read from its beginning")
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
        """The offsets in the log."""
        return dict(self._log.committed)

    def caught_up(self) -> bool:
        """Whether everything that the log held at the beginning has been read."""
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
    """Lists and cards of one generation in dictionaries; several stores may stand for several services of one server."""

    def __init__(self, generation: str, server: MemoryServer | None = None) -> None:
        self.server = server or MemoryServer()
        self._generation = generation
        self._registration: Generation | None = None
        self._was_live: bool | None = None
        self._number = 0

    @property
    def live(self) -> str | None:
        """Name of the generation that readers use."""
        return self.server.live

    @property
    def metas(self) -> dict[str, Generation]:
        """Every generation by its name."""
        return {name: kept.meta for name, kept in self.server.kept.items() if kept.meta is not None}

    @property
    def lists(self) -> dict[str, list[tuple[str, float]]]:
        """Lists by product."""
        return self._kept.lists

    @property
    def cards(self) -> dict[str, dict[str, str]]:
        """Cards by product."""
        return self._kept.cards

    def open(self, generation: Generation) -> None:
        """Register the generation or check it."""
        self._registration = generation
        self._look_at_live()
        stored = self._kept.registered(generation)
        for setting in FIXED:
            if getattr(stored, setting) != getattr(generation, setting):
                raise KinstreamError(
                    f"generation {generation.name} was built with {setting} {getattr(stored, setting)}, "
                    f"this service has {getattr(generation, setting)}"
                )

    def lead(self, instance: str, known: int) -> int:
        """Take or keep the lead."""
        term = self.server.lead(self._generation, instance, known)
        if term and self._registration is not None:
            self._kept.registered(self._registration)
        self._look_at_live()
        return term

    def resign(self, instance: str, term: int) -> None:
        """Let the lease run out."""
        if (self._kept.leader, self._kept.term) == (instance, term):
            self._kept.lease_until = 0.0

    def begin(self, term: int) -> None:
        """Go on from the number of the last write."""
        self._kept.expect(term)
        self._number = self._kept.number

    def write(self, changes: Changes, now: float, term: int) -> None:
        """Write everything."""
        self._kept.expect(term)
        for write in changes.lists:
            self.lists[write.id] = write.neighbours
        for card in changes.cards:
            self.cards[card.id] = card.fields | {"seen_at": f"{now:.6f}"}
        self._remove(changes.removed)
        self._advance(term, products=changes.products)

    def check(self, term: int) -> None:
        """Compare the number of the last write."""
        self._kept.expect(term, self._number)

    def ids(self) -> Iterator[str]:
        """Ids that have a list or a card."""
        return iter([*self.lists, *self.cards])

    def remove(self, ids: Iterable[str], term: int) -> None:
        """Remove lists and cards."""
        self._kept.expect(term)
        self._remove(ids)
        self._advance(term)

    def ready(self, products: int, term: int, *, claim: bool) -> None:
        """Mark the generation as ready; the first one becomes live."""
        state = self.metas[self._generation].state if self._generation in self.metas else "building"
        self._advance(term, products=products, state="ready" if state == "building" else state)
        if claim and self.server.live is None:
            self.server.live = self._generation
        self._look_at_live()
        if self.server.live == self._generation:
            self._advance(term, state="live")

    def was_live(self) -> bool | None:
        """Whether this generation was live when any was."""
        return self._was_live

    def ping(self) -> None:
        """Memory always answers."""

    def close(self) -> None:
        """Nothing to close."""

    @property
    def _kept(self) -> Kept:
        return self.server.kept[self._generation]

    def _remove(self, ids: Iterable[str]) -> None:
        for id in ids:
            self.lists.pop(id, None)
            self.cards.pop(id, None)

    def _advance(self, term: int, **fields: object) -> None:
        self._kept.advance(term, self._number, fields)
        self._number += 1

    def _look_at_live(self) -> None:
        if self.server.live is not None:
            self._was_live = self.server.live == self._generation
