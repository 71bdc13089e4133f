"""A scripted hour in the shop: what changes, when. The same every time."""

from __future__ import annotations

import random
from typing import Any

HOUR = 3600.0
EVENTS = 600
KINDS = {"price": 60, "title": 12, "sold out": 10, "back": 8, "delete": 5, "new": 5}

Product = dict[str, Any]
Change = dict[str, Any]


def scripted_hour(shown: list[Product], newcomers: list[Product], spared: set[str], seed: int = 7) -> list[Change]:
    """Partial changes ``{ts, op, id, …}`` in order of time; products in ``spared`` change only as the story says."""
    chance = random.Random(seed)
    alive = {product["id"]: product for product in shown if product["id"] not in spared}
    waiting, gone = list(newcomers), set[str]()
    changes = []
    for number in range(EVENTS):
        kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        change = _change(kind, alive, waiting, gone, chance)
        if change is not None:
            changes.append({"ts": HOUR * number / EVENTS, **change})
    return changes


def _change(
    kind: str, alive: dict[str, Product], waiting: list[Product], gone: set[str], chance: random.Random
) -> Change | None:
    id = chance.choice(sorted(alive))
    if kind == "price":
        return {"op": "upsert", "id": id, "price": round(chance.uniform(5, 2000), 2), "currency": "USD"}
    if kind == "title":
        alive[id] = {**alive[id], "title": f"{alive[id]['title']} {chance.choice(['Bundle', 'Refurbished', '2-pack'])}"}
        return {"op": "upsert", "id": id, "title": alive[id]["title"]}
    if kind == "sold out":
        gone.add(id)
        return {"op": "upsert", "id": id, "available": False}
    if kind == "back" and gone:
        return {"op": "upsert", "id": gone.pop() if len(gone) == 1 else _take(gone, chance), "available": True}
    if kind == "delete":
        del alive[id]
        gone.discard(id)
        return {"op": "delete", "id": id}
    if kind == "new" and waiting:
        product = waiting.pop()
        alive[product["id"]] = product
        return {"op": "upsert", **product}
    return None


def _take(ids: set[str], chance: random.Random) -> str:
    id = chance.choice(sorted(ids))
    ids.remove(id)
    return id
