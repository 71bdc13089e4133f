"""Making what was applied readable and durable: steps 2 to 4 of a commit, see consumer.loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from consumer.backlog import Backlog, Entry
from consumer.catalogue import Catalogue
from consumer.metrics import Metrics
from consumer.patience import Patience
from consumer.pipeline import Pipeline
from consumer.ports import Source, Store
from consumer.types import Changes, Slots

log = structlog.get_logger(__name__)

Passed = Callable[[str], None]
"""Is told the name of each step of a commit as it is done; a test stops the process there."""


class Publishing:
    """Writes to the store, sends dead letters, and commits.

    Attributes:
        term: that of the writes; 0 while another service leads, and nothing may be written.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        pipeline: Pipeline,
        catalogue: Catalogue,
        patience: Patience,
        metrics: Metrics,
        clock: Callable[[], float],
        passed: Passed,
    ) -> None:
        self.term = 0
        self._source = source
        self._store = store
        self._pipeline = pipeline
        self._catalogue = catalogue
        self._patience = patience
        self._metrics = metrics
        self._clock = clock
        self._passed = passed

    def settle(self, backlog: Backlog) -> None:
        """Do all that is in the backlog.

        Raises:
            Fenced: another service leads; the backlog is as it was.
            StoreLost: the store is not as it was left; the backlog is as it was.
        """
        entry = backlog.rest()
        if entry is None:
            return
        self._send_letters(entry)
        self._passed("letters")
        self.write(self._changes(entry))
        readable = self._clock()
        self._metrics.freshness.observe([readable - timestamp for timestamp in entry.since])
        self._passed("published")
        with self._metrics.stage("commit"):
            self._patience.call(lambda: self._source.commit(entry.offsets))
        self._passed("committed")
        backlog.clear()
        self._metrics.batch(entry.outcomes)

    def write(self, changes: Changes) -> None:
        """Make changes readable."""
        with self._metrics.stage("publish"):
            self._patience.call(lambda: self._store.write(changes, self._clock(), self.term))
        self._metrics.lists_written(len(changes.lists))

    def write_lists(self, changed: Slots | None) -> None:
        """Write lists that changed without an event; those of a follower are written when it takes over."""
        if changed is not None and self.term:
            self.write(Changes(self._pipeline.lists(changed), [], [], len(self._catalogue)))

    def remove(self, ids: Sequence[str]) -> None:
        """Take products out of the store."""
        self._patience.call(lambda: self._store.remove(ids, self.term))

    def complete(self) -> None:
        """Every list is written."""
        self.announce()
        log.info("published everything", products=len(self._catalogue))

    def announce(self) -> None:
        """The generation is ready, and live if none is, unless it was not live when one was."""
        claim = self._store.was_live() is not False
        self._patience.call(lambda: self._store.ready(len(self._catalogue), self.term, claim=claim))

    def _changes(self, entry: Entry) -> Changes:
        """What readers must see of an entry, as the state is now."""
        catalogue = self._catalogue
        touched = entry.touched[[catalogue.holds(slot) for slot in entry.touched.tolist()]]
        cards = [card for card in entry.cards.values() if catalogue.get(card.id) is not None]
        removed = [id for id in entry.removed if catalogue.get(id) is None]
        return Changes(self._pipeline.lists(touched), cards, removed, len(catalogue))

    def _send_letters(self, entry: Entry) -> None:
        for letter in entry.letters:
            record = letter.record
            where = f"{record.topic}/{record.partition}@{record.offset}"
            log.warning("dead letter", record=where, reason=letter.reason, message=letter.message)
        if entry.letters:
            self._patience.call(lambda: self._source.dead_letter(entry.letters))
