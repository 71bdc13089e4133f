"""Writing everything again: after a start, a change of the leader, or a loss of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import structlog

from consumer.catalogue import Catalogue
from consumer.errors import ServerUnavailable
from consumer.types import CardWrite, Changes, ListWrite, Slots

log = structlog.get_logger(__name__)

CHUNK = 500
"""Products written, or ids looked at, in one turn."""


class Republishing:
    """Lists and cards of all products, then the removal of what belongs to no product; in bounded turns.

    Products that change meanwhile are written by their own events, new ones too.

    Args:
        lists: the published lists of slots.
        write: makes changes readable.
        stored: every id that the store has, in no order, maybe more than once.
        remove: takes ids out of the store.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        lists: Callable[[Slots], list[ListWrite]],
        write: Callable[[Changes], None],
        stored: Callable[[], Iterator[str]],
        remove: Callable[[Sequence[str]], None],
        clock: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._lists = lists
        self._write = write
        self._stored = stored
        self._remove = remove
        self._clock = clock
        self._work: Iterator[None] = iter(())
        self._due = 0.0
        self.pending = 0
        """Products whose list is still to be written."""
        self.under_way = False

    def begin(self) -> None:
        """Begin, again if it was under way."""
        slots = self._catalogue.slots()
        self.pending = len(slots)
        self.under_way = True
        self._due = 0.0
        self._work = self._all(slots)

    def stop(self) -> None:
        """Leave the rest."""
        self._work, self.pending, self.under_way = iter(()), 0, False

    def step(self) -> bool:
        """Do one bounded part; whether that was the last one. When the store breaks off, it all begins anew."""
        try:
            next(self._work)
        except StopIteration:
            self.stop()
        except ServerUnavailable as error:
            log.warning("publishing everything again, from the beginning", reason=str(error))
            self.begin()
        return not self.under_way

    def turn(self) -> bool:
        """Do a part when half of the time was left for others; whether that was the last one."""
        started = self._clock()
        if not self.under_way or started < self._due:
            return False
        last = self.step()
        self._due = 2 * self._clock() - started
        return last

    def _all(self, slots: Slots) -> Iterator[None]:
        for start in range(0, len(slots), CHUNK):
            self._products(slots[start : start + CHUNK])
            self.pending = max(0, len(slots) - start - CHUNK)
            yield
        yield from self._sweep()

    def _products(self, slots: Slots) -> None:
        living = slots[[self._catalogue.holds(slot) for slot in slots.tolist()]]
        cards = [
            CardWrite(id, self._catalogue.card(id), gone=True) for id in map(self._catalogue.id_of, living.tolist())
        ]
        self._write(Changes(self._lists(living), cards, [], len(self._catalogue)))

    def _sweep(self) -> Iterator[None]:
        ids = self._stored()
        while part := list(islice(ids, CHUNK)):
            orphans = sorted({id for id in part if self._catalogue.get(id) is None})
            if orphans:
                log.info("removing what belongs to no product", products=len(orphans))
                self._remove(orphans)
            yield
