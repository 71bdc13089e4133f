"""What must have become of each event by the contract, told without the code under test."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

from samples import DIM, Fields

FACTS = ("price", "currency", "available", "version", "updated_at")
FACT_ATTRIBUTES = frozenset({"promo"})
CARD_TEXTS = ("title", "brand", "category", "currency", "image", "updated_at")
REFUSED = "dead_letter"


@dataclass
class Expectation:
    """The catalogue as it must be: fields by id."""

    products: dict[str, Fields] = field(default_factory=dict)

    def apply(self, id: str, fields: Fields | None) -> str:
        """Take an event that breaks no rule of its own; returns what it must be counted as."""
        before = self.products.get(id)
        if fields is None:
            return "unchanged" if self.products.pop(id, None) is None else "deleted"
        late = _lateness(before, fields)
        if late is not None:
            return late
        if before is not None and _content(before) == _content(fields):
            self.products[id] = fields
            return "unchanged" if _facts(before) == _facts(fields) else "facts"
        if len(fields.get("embedding") or ()) != DIM:
            return REFUSED
        self.products[id] = fields
        return "embedded"


def card_is_right(card: dict[str, str], fields: Fields) -> bool:
    """Whether a card shows these fields, and nothing else."""
    wanted = {name: fields[name] for name in CARD_TEXTS if name in fields}
    wanted["available"] = "true" if fields["available"] else "false"
    if "version" in fields:
        wanted["version"] = str(fields["version"])
    shown = {name: value for name, value in card.items() if name not in ("price", "seen_at")}
    return shown == wanted and _price_is_right(card.get("price"), fields.get("price"))


def _price_is_right(shown: str | None, price: float | None) -> bool:
    if shown is None or price is None:
        return shown is None and price is None
    return math.isclose(float(shown), price, rel_tol=1e-14)


def _lateness(before: Fields | None, fields: Fields) -> str | None:
    old, new = (before or {}).get("version"), fields.get("version")
    if old is None or new is None or new > old:
        return None
    return "stale" if new < old else "duplicate"


def _content(fields: Fields) -> str:
    """As JSON, in which 1, 1.0 and true differ."""
    rest = {name: value for name, value in fields.items() if name not in (*FACTS, "embedding")}
    attributes = rest.pop("attributes", None) or {}
    kept = {name: value for name, value in attributes.items() if name not in FACT_ATTRIBUTES}
    return json.dumps([rest, kept, [float(x) for x in fields.get("embedding") or ()]], sort_keys=True)


def _facts(fields: Fields) -> str:
    known = {name: fields[name] for name in FACTS if name in fields}
    known |= {"price": float(known["price"])} if "price" in known else {}
    promo = {name: value for name, value in (fields.get("attributes") or {}).items() if name in FACT_ATTRIBUTES}
    return json.dumps([known, promo], sort_keys=True)
