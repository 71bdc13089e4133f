"""Recorded changes: ``{ts, op, id, …}``, each with only what changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from producer.catalogue import Entry
from producer.columns import Fields
from producer.product import checked_id
from producer.refusals import BadEvent, short, wrong

ENVELOPE = ("ts", "op")


class Change(msgspec.Struct, frozen=True):
    """One change: when it happened (Unix seconds), to which product, what is new, and where it was recorded."""

    ts: float
    op: Literal["upsert", "delete"]
    id: str
    fields: Fields
    place: str = ""


def change_of(entry: Entry) -> Change:
    """Read a change; ``op`` is upsert where it is absent, ``ts`` Unix seconds or an RFC 3339 time or absent.

    Raises:
        BadEvent: the entry is no change.
    """
    fields = entry.fields()
    op: Any = fields.get("op") or "upsert"
    id = fields.get("id")
    if op not in ("upsert", "delete"):
        raise BadEvent("UnknownFormat", f"op={short(op)} is not known: send upsert or delete")
    if id is not None and not isinstance(id, str):
        raise wrong("id", id)
    changed = {name: value for name, value in fields.items() if name not in ENVELOPE}
    return Change(_seconds(fields.get("ts")), op, checked_id(id, None), changed, entry.place)


def _seconds(ts: Any) -> float:
    if ts is None:
        return 0.0
    if isinstance(ts, int | float) and not isinstance(ts, bool):
        return float(ts)
    try:
        time = datetime.fromisoformat(ts)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        raise BadEvent("InvalidChange", f"ts={short(ts)} is not a time: send Unix seconds or RFC 3339") from None
