"""What readers find in Redis of one generation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from ledger import State

CHUNK = 1000
KEY = re.compile(r"kin:[^:]+:([np]):\{(.+)\}")

Facts = tuple[str | None, str | None, str | None]
"""Of a card: version, price, available."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything of a generation: id -> facts of its card, and id -> members of its list, best first."""

    cards: dict[str, Facts]
    lists: dict[str, list[str]]


def facts_of(state: State | None) -> Facts | None:
    """What the card of a product must say; None when there must be no card."""
    if state is None:
        return None
    return str(state.version), f"{state.price:.15g}", "true" if state.available else "false"


def read_cards(client: redis.Redis, generation: str, ids: Sequence[str]) -> dict[str, Facts | None]:
    """The facts of these products; None for those without a card."""
    found: dict[str, Facts | None] = {}
    for chunk in _chunks(ids):
        pipe = client.pipeline(transaction=False)
        for id in chunk:
            pipe.hmget(f"kin:{generation}:p:{{{id}}}", "version", "price", "available")
        answers: list[Any] = pipe.execute()
        found |= {id: tuple(facts) if any(facts) else None for id, facts in zip(chunk, answers, strict=True)}
    return found


def read_all(client: redis.Redis, generation: str) -> Stored:
    """Every card and list."""
    cards, lists = _ids(client, generation)
    facts = read_cards(client, generation, cards)
    members: dict[str, list[str]] = {}
    for chunk in _chunks(lists):
        pipe = client.pipeline(transaction=False)
        for id in chunk:
            pipe.zrevrange(f"kin:{generation}:n:{{{id}}}", 0, -1)
        members |= dict(zip(chunk, pipe.execute(), strict=True))
    return Stored({id: found for id, found in facts.items() if found is not None}, members)


def _ids(client: redis.Redis, generation: str) -> tuple[list[str], list[str]]:
    """Ids that have a card, and ids that have a list."""
    found: dict[str, list[str]] = {"p": [], "n": []}
    for key in client.scan_iter(match=f"kin:{generation}:[np]:*", count=CHUNK):
        match = KEY.fullmatch(key)
        if match is not None:
            found[match[1]].append(match[2])
    return list(dict.fromkeys(found["p"])), list(dict.fromkeys(found["n"]))


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]
