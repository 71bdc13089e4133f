"""The start: from a snapshot, or from nothing, to a state that has read the topic up to its end of this moment.

Nothing is written meanwhile: readers keep the lists of before. There are three ways:

* *continue*: take a snapshot's state over and read on from its offsets, or from the committed ones where those are behind:
  what a service that ended before it committed has applied is applied again, so that its dead letters are sent;
* *sweep*: take it over, but read the topic from its beginning. What is there unchanged is not encoded again; what the topic
  no longer holds goes. Needed when tombstones after the snapshot may be gone, or when offsets mean nothing any more;
* *rebuild*: no snapshot; read the topic from its beginning.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import structlog

from consumer.errors import KinstreamError
from consumer.loop import Loop
from consumer.snapshot import Place
from consumer.types import Offsets, TopicFacts

log = structlog.get_logger(__name__)

PROGRESS_EVENTS = 20_000


class Way(NamedTuple):
    """How to start, and why."""

    name: Literal["continue", "sweep", "rebuild"]
    reason: str


def choose(place: Place | None, created_at: float, topic: TopicFacts, now: float, *, forced: bool) -> Way:
    """The way to start with a snapshot that was made at ``place``; without one there is only one.

    Args:
        created_at: when, in Unix seconds.
        forced: the operator asked for a sweep.
    """
    if place is None:
        return Way("rebuild", "there is no snapshot that can be used")
    if forced:
        return Way("sweep", "--bootstrap asks for it")
    if place.topic_id != topic.identity:
        return Way("sweep", "the topic was created again since the snapshot")
    reason = _out_of_range(place.offsets, topic)
    if reason is not None:
        return Way("sweep", reason)
    quiet = all(place.offsets.get(partition, 0) == high for partition, high in topic.high.items())
    if not quiet and now - created_at > topic.retention_seconds:
        return Way("sweep", "the snapshot is older than delete.retention.ms: deletions may be gone from the topic")
    return Way("continue", "the snapshot fits the topic")


def catch_up(loop: Loop, way: Way, topic: TopicFacts, offsets: Offsets) -> None:
    """Read the topic up to its end of this moment; returns early when the service is to stop.

    Args:
        offsets: where the state goes on; the loop's catalogue and graph are as of there.

    Raises:
        KinstreamError: the topic never held anything, and the store does.
    """
    log.info("reading the topic", way=way.name, reason=way.reason, products=len(loop.catalogue))
    loop.register()
    if not any(topic.high.values()):
        loop.patience.call(lambda: _check_topic(loop))
    if way.name == "sweep":
        loop.catalogue.doubt_all()
    loop.look()
    loop.backlog.everything = way.name != "continue" or not loop.is_committed(offsets)
    loop.begin(loop.not_beyond_committed(offsets) if way.name == "continue" else {})
    events = _read(loop)
    if way.name == "sweep" and not loop.stopping.is_set():
        _sweep(loop)
    log.info("caught up", events=events, products=len(loop.catalogue))


def _read(loop: Loop) -> int:
    events = 0
    while not loop.source.caught_up() and not loop.stopping.is_set():
        batch = loop.poll()
        loop.take(batch)
        before, events = events, events + len(batch.records)
        if before // PROGRESS_EVENTS != events // PROGRESS_EVENTS:
            loop.look()
            log.info("catching up", events=events, products=len(loop.catalogue))
    return events


def _sweep(loop: Loop) -> None:
    """Delete what the topic did not name."""
    gone = loop.catalogue.doubtful()
    if gone:
        log.info("deleting what the topic no longer holds", products=len(gone))
        loop.delete(gone)


def _out_of_range(offsets: Offsets, topic: TopicFacts) -> str | None:
    for (name, partition), offset in offsets.items():
        high = topic.high.get((name, partition))
        if high is None:
            return f"the topic has no partition {partition} any more"
        low = topic.low[name, partition]
        if not low <= offset <= high:
            return f"offset {offset} of partition {partition} lies outside of {low} to {high}, which the topic holds"
    return None


def _check_topic(loop: Loop) -> None:
    """A topic that never held an event does not delete a whole shop: it is more likely the wrong one."""
    if len(loop.catalogue) or next(loop.store.ids(), None) is not None:
        raise KinstreamError(
            "the topic holds no event at all, but this generation has products in the store: is KINSTREAM_TOPIC right? "
            "If it is, build under another KINSTREAM_GENERATION"
        )
