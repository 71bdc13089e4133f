"""What is written of products, as arguments of the script that looks at their fence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from consumer import keys
from consumer.redis_nodes import Call, Topology
from consumer.redis_scripts import APPLY
from consumer.types import CardWrite, ListWrite

TOGETHER = 16
"""Keys changed by one call: more would save little and hold up readers."""
FACTS = ("price", "currency", "available", "version", "updated_at")


class Operation(NamedTuple):
    """What becomes of one key: a verb of ``redis_scripts.APPLY`` and its arguments."""

    key: str
    verb: str
    arguments: list[str]


def list_of(generation: str, write: ListWrite) -> Operation:
    """Replace a list."""
    members = [part for id, score in write.neighbours for part in (f"{score:.7g}", id)]
    return Operation(keys.list_key(generation, write.id), "ZADD", members)


def card(generation: str, write: CardWrite, seen_at: str) -> Operation:
    """Replace a card that lost a field; of any other set what is new."""
    shown = write.fields
    names = [name for name in FACTS if name in shown] if write.facts_only and not write.gone else shown
    fields = [part for name in names for part in (name, shown[name])]
    fields += "seen_at", seen_at
    return Operation(keys.card_key(generation, write.id), "HSET" if write.gone else "MERGE", fields)


def removals(generation: str, ids: Iterable[str]) -> Iterator[Operation]:
    """Remove lists and cards."""
    for id in ids:
        yield Operation(keys.list_key(generation, id), "DEL", [])
        yield Operation(keys.card_key(generation, id), "DEL", [])


def calls(operations: Iterable[Operation], topology: Topology, generation: str, term: int) -> Iterator[Call]:
    """The calls that do it under a term; each one changes keys of one slot."""
    slots: dict[int, list[Operation]] = defaultdict(list)
    for operation in operations:
        slots[topology.slot_of(operation.key)].append(operation)
    for slot, together in slots.items():
        fence = topology.fence(generation, slot)
        for start in range(0, len(together), TOGETHER):
            yield slot, APPLY.call(*_packed(fence, term, together[start : start + TOGETHER]))


def probe(topology: Topology, generation: str, slot: int, term: int) -> Call:
    """A call that changes nothing, and answers like one that does."""
    return slot, APPLY.call([topology.fence(generation, slot)], [str(term)])


def _packed(fence: str, term: int, operations: Iterable[Operation]) -> tuple[list[str], list[str]]:
    names, arguments = [fence], [str(term)]
    for key, verb, own in operations:
        names.append(key)
        arguments += verb, str(len(own)), *own
    return names, arguments
