"""Valid events of a made-up shop, in every format, each with what it says in plain terms."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

DIM: Final = 8
PREFIXES: Final = ("sku", "ü", "{x}", "a b")
Fields = dict[str, Any]
Headers = list[tuple[str, bytes]]

TEXTS: Final = [
    ("Red shoe", "Red shoe"),
    ("<b>Red</b>  shoe", "Red shoe"),
    ("AT&amp;T phone", "AT&T phone"),
    ("5 < 6 & 7", "5 < 6 & 7"),
    ("zero\u200bwidth", "zerowidth"),
    ("a\ttab and a nul\0", "a tab and a nul"),
    ("Überzug für Café-Möbel", "Überzug für Café-Möbel"),
    ("靴 👟 حذاء", "靴 👟 حذاء"),
    ("<script>alert(1)</script>Lamp", "Lamp"),
    ("x" * 3000, "x" * 3000),
]
"""As sent, and as it must be shown."""
ATTRIBUTES: Final[Fields] = {
    "size": "42", "drawers": 2, "weight": 1.5, "vegan": True, "colours": ["red", "blue"], "promo": "-20 %", "none": [],
}  # fmt: skip
IMAGES: Final = [
    "shoes/red.png",
    "https://cats.example/cat.png",
    "../../etc/passwd",
    "https://169.254.169.254/",
    "x\0y",
]
TIMES: Final = ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123+02:00"]
BIG_KEY: Final = b'{"schema":{"type":"struct"},"payload":{"id":%s}}'


@dataclass(frozen=True)
class Draft:
    """One change before it is written down: ``product`` is what is sent, None deletes; ``shown`` is what it means."""

    format: str
    id: str
    product: Fields | None
    shown: Fields | None


@dataclass(frozen=True)
class Event:
    """A record as it is sent, and what it says: its product's id and fields, None for a deletion.

    ``says`` is None when nobody but the decoder can tell. ``refused`` says that it breaks a rule for certain.
    """

    kind: str
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None
    says: tuple[str, Fields | None] | None = None
    refused: bool = False


class Shop:
    """Makes one change after the other; the products it remembers are those it sent last."""

    def __init__(self, random: Random, ids: int) -> None:
        self._random = random
        self._ids = ids
        self._products: dict[str, tuple[Fields, Fields]] = {}

    def draft(self) -> Draft:
        """The next change: a new product, an edit of any kind, a repetition, an old version, or a deletion."""
        random = self._random
        number = random.randrange(self._ids)
        id = f"{PREFIXES[number % len(PREFIXES)]}-{number}"
        if random.random() < 0.08:
            self._products.pop(id, None)
            return Draft(random.choice(list(DELETIONS)), id, None, None)
        sent, shown = self._products.get(id) or _new(random, id)
        if id in self._products:
            edit = random.choice(EDITS)
            sent, shown = edit(random, sent, shown)
            if "version" in shown and edit is not _repeated and random.random() < 0.8:
                sent, shown = _with(sent, shown, version=shown["version"] + 1)
        self._products[id] = sent, shown
        return Draft(random.choice(list(UPSERTS)), id, sent, shown)


def written(draft: Draft) -> Event:
    """The draft in its format."""
    make = (UPSERTS if draft.product is not None else DELETIONS)[draft.format]
    event = make(draft.id, draft.product)
    return replace(event, kind=draft.format, says=(draft.id, draft.shown))


def text_of(value: Any) -> bytes:
    """JSON; what JSON cannot hold is written all the same."""
    return json.dumps(value).replace('"@huge@"', "1e400").encode("utf-8", "surrogatepass")


def direction(random: Random) -> list[float]:
    """An embedding."""
    return [random.gauss(0, 1) for _ in range(DIM)]


def _new(random: Random, id: str) -> tuple[Fields, Fields]:
    sent: Fields = {"id": id}
    shown: Fields = {"available": True}
    sent, shown = _retitled(random, sent, shown)
    for edit in random.sample(EDITS, random.randrange(len(EDITS))):
        sent, shown = edit(random, sent, shown)
    if random.random() < 0.97:
        sent["embedding"] = shown["embedding"] = direction(random)
    return sent, shown


def _with(sent: Fields, shown: Fields, **fields: Any) -> tuple[Fields, Fields]:
    """A field given as None is sent as null, and means nothing."""
    changed = {**shown, **fields}
    return {**sent, **fields}, {name: value for name, value in changed.items() if value is not None}


def _retitled(random: Random, sent: Fields, shown: Fields) -> tuple[Fields, Fields]:
    name = random.choice(["title", "title", "description", "brand", "category"])
    dirty, clean = random.choice(TEXTS)
    sent, shown = _with(sent, shown, **{name: dirty})
    shown[name] = clean
    return (sent, shown) if "title" in shown else _with(sent, shown, title="A product")


def _moved(random: Random, sent: Fields, shown: Fields) -> tuple[Fields, Fields]:
    return _with(sent, shown, embedding=direction(random))


def _priced(random: Random, sent: Fields, shown: Fields) -> tuple[Fields, Fields]:
    price = random.choice([0, 5, 19.99, 1e-9, 123456789.12, 1e22])
    return _with(sent, shown, price=price, currency=random.choice(["EUR", "USD", None]))


def _flipped(random: Random, sent: Fields, shown: Fields) -> tuple[Fields, Fields]:
    return _with(sent, shown, available=not shown["available"])


def _attributed(random: Random, sent: Fields, shown: Fields) -> tuple[Fields, Fields]:
    chosen = dict(random.sample(sorted(ATTRIBUTES.items(), key=str), random.randrange(len(ATTRIBUTES))))
    sent, shown = _with(sent, shown, attributes=chosen or None)
    if chosen and random.random() < 0.2:
        sent["attributes"] = {**chosen, "unknown": None}
    return sent, shown


def _pictured(random: Random, sent: Fields, shown: Fields) -> tuple[Fields, Fields]:
    return _with(sent, shown, image=random.choice([*IMAGES, None]))


def _versioned(random: Random, sent: Fields, shown: Fields) -> tuple[Fields, Fields]:
    version = shown.get("version", 0) + random.choice([-1, 0, 1, 1, 1, 1])
    return _with(sent, shown, version=version, updated_at=random.choice(TIMES))


def _repeated(random: Random, sent: Fields, shown: Fields) -> tuple[Fields, Fields]:
    return dict(sent), dict(shown)


def _forgotten(random: Random, sent: Fields, shown: Fields) -> tuple[Fields, Fields]:
    return _with(sent, shown, brand=None, description=None)


EDITS: Final = [
    _retitled, _moved, _priced, _priced, _flipped, _attributed, _pictured, _versioned, _repeated, _forgotten,
]  # fmt: skip


def _cloud(kind: str, **fields: Any) -> Fields:
    return {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": f"com.example.product.{kind}", **fields}


def _ce_headers(kind: str, **more: str) -> Headers:
    return [(f"ce_{name}", str(value).encode()) for name, value in {**_cloud(kind), **more}.items()]


STRUCTURED: Final[Headers] = [("content-type", b"application/cloudevents+json; charset=utf-8")]


def _debezium(op: str, id: str, product: Fields | None) -> Fields:
    before = {"id": id, "title": "before"}
    return {"op": op, "before": before, "after": product, "source": {"connector": "postgresql"}, "ts_ms": 1}


def _wrapped(change: Fields) -> bytes:
    return text_of({"schema": {"type": "struct"}, "payload": change})


def _json_key(id: str) -> bytes:
    return BIG_KEY % json.dumps(id).encode()


Make = Callable[[str, Any], Event]
UPSERTS: Final[dict[str, Make]] = {
    "plain JSON": lambda id, p: Event("", id.encode(), text_of(p)),
    "plain JSON, no key": lambda id, p: Event("", None, text_of(p)),
    "CloudEvents structured": lambda id, p: Event("", id.encode(), text_of(_cloud("upserted", data=p)), STRUCTURED),
    "CloudEvents by content": lambda id, p: Event("", id.encode(), text_of(_cloud("upserted", data=p))),
    "CloudEvents base64": lambda id, p: Event(
        "", id.encode(), text_of(_cloud("upserted", data_base64=base64.b64encode(text_of(p)).decode()))
    ),
    "CloudEvents binary": lambda id, p: Event("", id.encode(), text_of(p), _ce_headers("upserted")),
    "Debezium": lambda id, p: Event("", id.encode(), text_of(_debezium("u", id, p))),
    "Debezium wrapped": lambda id, p: Event("", _json_key(id), _wrapped(_debezium("c", id, p))),
}
DELETIONS: Final[dict[str, Make]] = {
    "tombstone": lambda id, _: Event("", id.encode(), None),
    "CloudEvents structured, deleted": lambda id, _: Event("", None, text_of(_cloud("deleted", subject=id))),
    "CloudEvents binary, deleted": lambda id, _: Event("", id.encode(), b"", _ce_headers("deleted", subject=id)),
    "Debezium, deleted": lambda id, _: Event("", id.encode(), text_of(_debezium("d", id, None))),
    "Debezium wrapped, deleted": lambda id, _: Event("", _json_key(id), _wrapped(_debezium("d", id, None))),
}
