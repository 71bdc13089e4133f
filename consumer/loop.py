"""The service's main loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Event

import msgspec
import structlog

from consumer.catalogue import Catalogue
from consumer.metrics import Metrics
from consumer.patience import Patience
from consumer.pipeline import Applied, Pipeline
from consumer.ports import Source, Store
from consumer.types import Batch, Changes, Record, Slots

log = structlog.get_logger(__name__)

IDLE_SECONDS = 0.5
"""Longest wait for a record before the loop turns anyway."""
MEASURE_SECONDS = 1.0
"""How often lag and catalogue size are measured."""
REVISIT_SECONDS = 1.0
"""How often late images are looked for while events keep coming."""


Chore = Callable[[float], Slots | None]
"""Is given the time in seconds, knows itself whether it is due, and returns the slots whose lists it changed, if any."""


class Chores(msgspec.Struct, frozen=True):
    """What is to be done now and then, always or in idle moments only."""

    always: Sequence[Chore] = ()
    idle: Sequence[Chore] = ()


class Loop:
    """Keeps a store in step with a source.

    The order of a commit. A crash between any two steps loses nothing, since the offsets come last and a restart reads
    the topic again:

    1. apply the batch to the state in memory;
    2. send what cannot be applied to the dead-letter topic;
    3. write the changed lists and the cards to the store;
    4. commit the offsets.
    """

    def __init__(
        self,
        source: Source,
        pipeline: Pipeline,
        catalogue: Catalogue,
        store: Store,
        metrics: Metrics,
        chores: Chores,
        max_batch: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.stopping = Event()
        self.caught_up = False
        self.turned_at = clock()
        self.catalogue = catalogue
        self.pipeline = pipeline
        self.store = store
        self.source = source
        self.patience = Patience(self.stopping, self.turn)
        self._metrics = metrics
        self._chores = chores
        self._max_batch = max_batch
        self._clock = clock
        self._measured_at = 0.0
        self._revisited_at = 0.0

    def run(self) -> None:
        """Run until ``stopping`` is set.

        Raises:
            ServerUnavailable: a server did not answer when the service was stopped.
            EncoderFailed: the encoder no longer works.
        """
        while not self.stopping.is_set():
            self.step()

    def step(self) -> None:
        """One batch, in the order of a commit; then the chores that are due, and late images."""
        batch = self.poll()
        if batch.records:
            applied = self.apply(batch)
            self.publish(self.pipeline.changes(applied), applied.plan.changing)
            self.commit(batch)
            self.count(applied)
        for chore in self._chores.always if batch.records else [*self._chores.always, *self._chores.idle]:
            self._publish_lists(chore(self._clock()))
        self._revisit(idle=not batch.records)

    def poll(self) -> Batch:
        """The next batch, maybe empty."""
        self.turn()
        return self.patience.call(lambda: self.source.poll(self._max_batch, IDLE_SECONDS))

    def apply(self, batch: Batch) -> Applied:
        """Steps 1 and 2: apply to the state, and send away what cannot be applied."""
        applied = self.pipeline.apply(batch)
        self._send_letters(applied)
        return applied

    def publish(self, changes: Changes, changing: Sequence[Record]) -> None:
        """Step 3: make the changes readable, and measure how old the records are by then."""
        self.turn()
        with self._metrics.stage("publish"):
            self.patience.call(lambda: self.store.write(changes, self._clock()))
        self._metrics.lists_written(len(changes.lists))
        readable = self._clock()
        self._metrics.freshness.observe([readable - record.timestamp for record in changing])

    def commit(self, batch: Batch) -> None:
        """Step 4."""
        with self._metrics.stage("commit"):
            self.patience.call(lambda: self.source.commit(batch.offsets))

    def count(self, applied: Applied) -> None:
        """Count the events, now that what they change is readable."""
        self._metrics.batch(applied.plan.outcomes)

    def _revisit(self, *, idle: bool) -> None:
        """Publish what changes by images that arrived late: no event, so no freshness and no commit."""
        now = self._clock()
        if not idle and now - self._revisited_at < REVISIT_SECONDS:
            return
        self._revisited_at = now
        self._publish_lists(self.pipeline.revisit(now))

    def _publish_lists(self, changed: Slots | None) -> None:
        """Publish lists that changed without an event."""
        if changed is not None:
            self.publish(Changes(self.pipeline.lists(changed), [], [], len(self.catalogue)), [])

    def _send_letters(self, applied: Applied) -> None:
        """Letters from before the committed offsets were sent before the restart."""
        committed = self.source.committed()
        letters = [letter for letter in applied.plan.letters if is_new(letter.record, committed)]
        for letter in letters:
            record = letter.record
            where = f"{record.topic}/{record.partition}@{record.offset}"
            log.warning("dead letter", record=where, reason=letter.reason, message=letter.message)
        if letters:
            self.patience.call(lambda: self.source.dead_letter(letters))

    def turn(self) -> None:
        """Say that the loop turns, and measure, also while it waits for a server."""
        self.turned_at = self._clock()
        if self.turned_at - self._measured_at >= MEASURE_SECONDS:
            self._measured_at = self.turned_at
            self._metrics.lag(self.source.lag())
            unavailable = self.catalogue.unavailable
            self._metrics.products(len(self.catalogue) - unavailable, unavailable)


def is_new(record: Record, committed: dict[tuple[str, int], int]) -> bool:
    """Whether a record lies behind the offsets that were committed before the start."""
    return record.offset >= committed.get((record.topic, record.partition), 0)
