"""The start: from a topic to a complete set of lists.

The topic is read up to its end of this moment without a write, so that readers keep the lists of before the restart until
all new ones are right. Then everything is published, and what no longer exists is removed.
"""

from __future__ import annotations

import msgspec
import structlog

from consumer.errors import KinstreamError
from consumer.loop import Loop, is_new
from consumer.types import Batch, CardWrite, Changes, Offsets, Record

log = structlog.get_logger(__name__)

CHUNK = 2000
"""Lists published in one go."""
PROGRESS_EVENTS = 20_000


class _Read(msgspec.Struct):
    """What reading the topic left to be published."""

    cards: dict[str, CardWrite] = {}
    unseen: list[Record] = []
    offsets: Offsets = {}
    events: int = 0


def bootstrap(loop: Loop) -> None:
    """Read, publish everything, commit, and mark the generation as ready; returns early when the service is to stop.

    Raises:
        KinstreamError: the topic is empty and the store is not.
    """
    read = _Read()
    while not loop.source.caught_up():
        if loop.stopping.is_set():
            return
        _take(loop, loop.poll(), read)
    if not read.events:
        loop.patience.call(lambda: _check_topic(loop))
    _publish(loop, read)
    loop.patience.call(lambda: _sweep(loop))
    loop.commit(Batch([], read.offsets))
    loop.patience.call(lambda: loop.store.ready(len(loop.catalogue)))
    loop.caught_up = True
    log.info("caught up", events=read.events, products=len(loop.catalogue))


def _take(loop: Loop, batch: Batch, read: _Read) -> None:
    if not batch.records:
        return
    applied = loop.apply(batch)
    loop.count(applied)
    committed = loop.source.committed()
    read.cards.update((card.id, card) for card in applied.cards)
    for id in applied.removed:
        read.cards.pop(id, None)
    read.unseen += [record for record in applied.plan.changing if is_new(record, committed)]
    read.offsets.update(batch.offsets)
    if read.events // PROGRESS_EVENTS != (read.events + len(batch.records)) // PROGRESS_EVENTS:
        log.info("catching up", events=read.events + len(batch.records), products=len(loop.catalogue))
    read.events += len(batch.records)


def _publish(loop: Loop, read: _Read) -> None:
    """All lists and cards; a card replaces whatever the store had under its key."""
    slots = loop.catalogue.slots()
    cards = [msgspec.structs.replace(card, gone=True) for card in read.cards.values()]
    for start in range(0, len(slots), CHUNK):
        part = slice(start, start + CHUNK)
        loop.publish(Changes(loop.pipeline.lists(slots[part]), cards[part], [], len(slots)), [])
    loop.publish(Changes([], [], [], len(slots)), read.unseen)


def _check_topic(loop: Loop) -> None:
    """A topic that never held an event does not delete a whole shop: it is more likely the wrong one."""
    if next(loop.store.ids(), None) is not None:
        raise KinstreamError(
            "the topic holds no event at all, but this generation has products in the store: is KINSTREAM_TOPIC right? "
            "If it is, build under another KINSTREAM_GENERATION"
        )


def _sweep(loop: Loop) -> None:
    """Remove what the store has of products that no longer exist."""
    orphans = sorted({id for id in loop.store.ids() if loop.catalogue.get(id) is None})
    for start in range(0, len(orphans), CHUNK):
        loop.turn()
        loop.store.remove(orphans[start : start + CHUNK])
