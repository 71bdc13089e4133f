"""The service's main loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Event

import msgspec
import structlog

from consumer.backlog import Backlog, entry_of, reaches
from consumer.catalogue import Catalogue
from consumer.ends import Ends
from consumer.errors import Fenced, StoreLost
from consumer.metrics import Metrics
from consumer.patience import Patience
from consumer.pipeline import Pipeline
from consumer.publishing import Passed, Publishing
from consumer.republishing import Republishing
from consumer.types import Batch, Offsets, Slots

log = structlog.get_logger(__name__)

IDLE_SECONDS = 0.5
"""Longest wait for a record before the loop turns anyway."""
MEASURE_SECONDS = 1.0
"""How often lag and catalogue size are measured, and the store is asked whether it is as we left it."""
REVISIT_SECONDS = 1.0
"""How often late images are looked for while events keep coming."""


Chore = Callable[[float], Slots | None]
"""Is given the time in seconds, knows itself whether it is due, and returns the slots whose lists it changed, if any."""


class Chores(msgspec.Struct, frozen=True):
    """What is to be done now and then, always or in idle moments only."""

    always: Sequence[Chore] = ()
    idle: Sequence[Chore] = ()


class Loop:
    """Keeps a store in step with a source, or follows the source while another service does.

    The order of a commit. A crash between any two steps loses nothing, since the offsets come last and a restart begins
    at a snapshot whose batches have gone all the way:

    1. apply the batch to the state in memory ("applied");
    2. send what cannot be applied to the dead-letter topic ("letters");
    3. write the changed lists and the cards to the store ("published");
    4. commit the offsets ("committed");
    5. now and then, when no batch is between these steps, write a snapshot that names its offsets ("snapshot").

    A batch whose steps 2 to 4 are not done is in the backlog. A follower leaves it there until the leader has committed
    it, and does it itself when it becomes the leader.
    """

    def __init__(
        self,
        ends: Ends,
        pipeline: Pipeline,
        catalogue: Catalogue,
        metrics: Metrics,
        chores: Chores,
        max_batch: int,
        clock: Callable[[], float] = time.time,
        passed: Passed = lambda step: None,
    ) -> None:
        self.stopping = Event()
        self.caught_up = False
        self.turned_at = clock()
        self.catalogue = catalogue
        self.pipeline = pipeline
        self.store = ends.store
        self.source = ends.source
        self.patience = Patience(self.stopping, self.turn)
        self.backlog = Backlog()
        self.positions: Offsets = {}
        """The next offset of each partition that the state has not applied."""
        self._publishing = Publishing(
            self.source, self.store, pipeline, catalogue, self.patience, metrics, clock, passed
        )
        writes = self._publishing
        self.republishing = Republishing(catalogue, pipeline.lists, writes.write, self.store.ids, writes.remove, clock)
        self._leading = ends.leading
        self._generation = ends.generation
        self._metrics = metrics
        self._chores = chores
        self._max_batch = max_batch
        self._clock = clock
        self._passed = passed
        self._committed: Offsets = {}
        self._measured_at = 0.0
        self._asked_at = 0.0
        self._revisited_at = 0.0

    def run(self) -> None:
        """Run until ``stopping`` is set.

        Raises:
            ServerUnavailable: a server did not answer when the service was stopped.
            EncoderFailed: the encoder no longer works.
            TopicRecreated: start again.
        """
        while not self.stopping.is_set():
            self.step()

    def step(self) -> None:
        """One batch, in the order of a commit; then the chores that are due, and late images."""
        batch = self.poll()
        self.take(batch)
        idle = not batch.records
        try:
            self._lead_or_follow()
            for chore in [*self._chores.always, *self._chores.idle] if idle else self._chores.always:
                self._publishing.write_lists(chore(self._clock()))
            self._revisit(idle=idle)
        except (Fenced, StoreLost) as error:
            self._step_down(error)

    def poll(self) -> Batch:
        """The next batch, maybe empty."""
        self.turn()
        return self.patience.call(lambda: self.source.poll(self._max_batch, IDLE_SECONDS))

    def take(self, batch: Batch) -> None:
        """Step 1: apply a batch to the state; the rest waits in the backlog."""
        if not batch.records:
            return
        entry = entry_of(batch.offsets, self.pipeline.apply(batch), self._committed)
        self.positions.update(batch.offsets)
        self._passed("applied")
        if self.backlog.everything:
            self._metrics.batch(entry.outcomes)
            entry.outcomes.clear()
        self.backlog.add(entry)

    def delete(self, ids: Sequence[str]) -> None:
        """Delete products without an event."""
        self.backlog.add(entry_of({}, self.pipeline.delete(ids), {}))

    def register(self) -> None:
        """Register the generation, or find that the stored one was made with other settings."""
        self.patience.call(lambda: self.store.open(self._generation))

    def begin(self, offsets: Offsets) -> None:
        """Let the source read on from these offsets."""
        self.patience.call(lambda: self.source.begin(offsets))
        self.positions.update(offsets)

    def not_beyond_committed(self, offsets: Offsets) -> Offsets:
        """The offsets, or what the group has committed where that is less, as of the last look."""
        return {place: min(offset, self._committed.get(place, offset)) for place, offset in offsets.items()}

    def is_committed(self, offsets: Offsets) -> bool:
        """Whether the group has committed as much, as of the last look."""
        return reaches(self._committed, offsets)

    def look(self) -> None:
        """See what is committed: that much of the backlog is done."""
        self._committed = self.patience.call(self.source.committed)
        for entry in self.backlog.pruned(self._committed):
            self._metrics.batch(entry.outcomes)

    def turn(self) -> None:
        """Say that the loop turns, and measure, also while it waits for a server."""
        self.turned_at = self._clock()
        if self.turned_at - self._measured_at >= MEASURE_SECONDS:
            self._measured_at = self.turned_at
            self._metrics.lag(self.source.lag())
            unavailable = self.catalogue.unavailable
            self._metrics.products(len(self.catalogue) - unavailable, unavailable)
            self._metrics.role(leading=bool(self._publishing.term), pending=self.republishing.pending)

    def _lead_or_follow(self) -> None:
        answered, term = (
            self._leading.answered(),
            self._leading.term(),
        )  # in this order: who leads may be told in between
        if not term:
            self._follow(answered)
            return
        if term != self._publishing.term:
            self._take_up(term)
        self._publishing.settle(self.backlog)
        if self.republishing.turn():
            self._publishing.complete()
        if self._is_time():
            self.patience.call(lambda: self.store.check(self._publishing.term))

    def _follow(self, another_leads: bool) -> None:
        self._publishing.term = 0
        if self._is_time():
            self.look()
            self.backlog.everything = self.backlog.everything and len(self.backlog) > 0
        self.caught_up = self.caught_up or another_leads

    def _take_up(self, term: int) -> None:
        """Begin to lead. What readers see is made right at once where it may be wrong, else bit by bit."""
        if self._publishing.term:
            self._lost("it no longer knew who leads")
        self.register()
        self.patience.call(lambda: self.store.begin(term))
        self._publishing.term = term
        self.look()
        self.republishing.begin()
        if not self.caught_up and (self.backlog.everything or not self.store.was_live()):
            while not self.republishing.step():
                self.turn()
            self._publishing.settle(self.backlog)
            self._publishing.complete()
        elif self.store.was_live():
            self._publishing.announce()  # after a loss, readers find again what is written, one list after the other
        self.backlog.everything = False
        self.caught_up = True

    def _revisit(self, *, idle: bool) -> None:
        """Publish what changes by images that arrived late: no event, so no freshness and no commit."""
        now = self._clock()
        if not idle and now - self._revisited_at < REVISIT_SECONDS:
            return
        self._revisited_at = now
        self._publishing.write_lists(self.pipeline.revisit(now))

    def _step_down(self, error: Fenced | StoreLost) -> None:
        """Somebody else leads, or the store lost something: what it has is written again under the next term."""
        if isinstance(error, StoreLost):
            self._lost(str(error))
        else:
            log.warning("not leading any more", reason=str(error))
        self._publishing.term = 0
        self.republishing.stop()
        self._leading.renew()

    def _lost(self, reason: str) -> None:
        log.error("the store has lost what was written; everything is written again", reason=reason)
        self._metrics.store_lost()

    def _is_time(self) -> bool:
        """Whether it is time to ask servers again how things stand."""
        now = self._clock()
        due = now - self._asked_at >= MEASURE_SECONDS
        if due:
            self._asked_at = now
        return due
