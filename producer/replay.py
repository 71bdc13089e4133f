"""Timed replay of a recorded stream: events at the pace at which they happened, or faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from producer.catalogue import Entry

ENVELOPE = ("ts", "op")


class Change(msgspec.Struct, frozen=True):
    """One recorded event: when it happened (Unix seconds), and the partial state of the product it changed."""

    ts: float
    op: Literal["upsert", "delete"]
    id: str
    fields: dict[str, Any]


class BadChange(ValueError):
    """A line that is no recorded event."""


def change_of(entry: Entry) -> Change:
    """Read ``{ts, op, id, …}``; ``ts`` is Unix seconds or an RFC 3339 time, absent for "at once".

    Raises:
        BadChange: a field is missing or wrong.
    """
    if entry.fields is None:
        raise BadChange(entry.error)
    op, id = entry.fields.get("op", "upsert"), entry.fields.get("id")
    if op not in ("upsert", "delete"):
        raise BadChange(f"op={op!r} is not known: it is upsert or delete")
    if not isinstance(id, str) or not id:
        raise BadChange(f"id={id!r} is not a product id: send a string")
    fields = {name: value for name, value in entry.fields.items() if name not in ENVELOPE}
    return Change(_seconds(entry.fields.get("ts", 0.0)), op, id, fields)


def paced(
    changes: Iterable[Change],
    speed: float,
    longest_gap: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Change]:
    """Yield each change when its time has come.

    Args:
        changes: in the order of their time.
        speed: recorded seconds that pass in one second; infinite for no waiting.
        longest_gap: recorded seconds between two events beyond which the rest of the gap is skipped.
        clock: monotonic seconds.
        sleep: waits for seconds.
    """
    started, due, previous = clock(), 0.0, None
    for change in changes:
        if previous is not None:
            due += min(max(change.ts - previous, 0.0), longest_gap) / speed
        previous = change.ts
        early = started + due - clock()
        if early > 0:
            sleep(early)
        yield change


def _seconds(ts: Any) -> float:
    if isinstance(ts, int | float) and not isinstance(ts, bool):
        return float(ts)
    try:
        return datetime.fromisoformat(ts).timestamp()
    except (TypeError, ValueError):
        raise BadChange(f"ts={ts!r} is not a time: send Unix seconds or RFC 3339") from None
