"""The store on Redis or Redis Cluster: the lists and cards that readers see.

Every write goes through a script that first looks at a fence, so that nothing of an older term lands once a newer one is
announced. Each write has a number: when the last one that Redis has is not the last one made, something was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from consumer import keys
from consumer.errors import Fenced, KinstreamError, StoreLost
from consumer.leadership import LEASE_SECONDS
from consumer.redis_link import Link
from consumer.redis_nodes import Wire
from consumer.redis_scripts import ADVANCE, LEAD, RAISE, RESIGN, SEQUENCE, Script
from consumer.redis_writes import Operation, calls, card, list_of, probe, removals
from consumer.types import FIXED, Changes, Generation

SCAN_COUNT = 1000


class RedisStore:
    """Writes one generation. ``lead`` may be called in a thread of its own, ``ping`` in any."""

    def __init__(self, url: str, generation: str) -> None:
        self._link = Link(url)
        self._generation = generation
        self._meta = keys.meta_key(generation)
        self._registration: list[str] = []
        self._was_live: bool | None = None
        self._number = 0

    def open(self, generation: Generation) -> None:
        """Register the generation, or check that it is the one stored under its name."""
        ours = _meta_fields(generation)
        with self._link.reachable():
            self._look_at_live()
            client = self._link.client()
            _check_same_settings(generation.name, cast("dict[str, str]", client.hgetall(self._meta)), ours)
            for name, value in ours.items():
                client.hsetnx(self._meta, name, value)
        self._registration = [part for field in ours.items() for part in field]

    def lead(self, instance: str, known: int) -> int:
        """Take or keep the lead."""
        milliseconds = f"{LEASE_SECONDS * 1000:.0f}"

        def led() -> int:
            wire = self._link.lease
            term = int(self._on_meta(wire, LEAD, instance, milliseconds, str(known), *self._registration))
            return term if term in (0, known) or self._raise_fences(wire, term) else 0

        term = self._link.steadily(led)
        with self._link.reachable():
            self._look_at_live()
        return term

    def resign(self, instance: str, term: int) -> None:
        """Let the lease run out at once."""
        self._link.steadily(lambda: self._on_meta(self._link.lease, RESIGN, instance, str(term)))

    def begin(self, term: int) -> None:
        """Start the chain of writes of a term."""

        def begun() -> Any:
            self._link.writer.begin()
            return self._on_meta(self._link.writer, SEQUENCE, str(term))

        self._number = _number(self._link.steadily(begun), term)

    def write(self, changes: Changes, now: float, term: int) -> None:
        """Write lists, cards and removals."""
        seen_at = f"{now:.6f}"
        operations = [list_of(self._generation, write) for write in changes.lists]
        operations += [card(self._generation, write, seen_at) for write in changes.cards]
        operations += removals(self._generation, changes.removed)
        self._write(operations, term, products=changes.products)

    def check(self, term: int) -> None:
        """Compare what Redis has with what was written."""

        def checked() -> Any:
            topology = self._link.topology()
            probes = [probe(topology, self._generation, slot, term) for slot in topology.samples()]
            _judge(self._link.writer.ask(probes), term)
            return self._on_meta(self._link.writer, SEQUENCE, str(term))

        found = _number(self._link.steadily(checked), term)
        if found != self._number:
            raise StoreLost(f"the last write that Redis has is number {found}, the last one made is {self._number}")

    def ids(self) -> Iterator[str]:
        """Ids that have a list or a card."""
        with self._link.reachable():
            pattern = keys.product_pattern(self._generation)
            for key in self._link.client().scan_iter(match=pattern, count=SCAN_COUNT):
                parsed = keys.parse_key(key)
                if parsed is not None:
                    yield parsed.id

    def remove(self, ids: Iterable[str], term: int) -> None:
        """Remove lists and cards."""
        self._write(list(removals(self._generation, ids)), term)

    def ready(self, products: int, term: int, *, claim: bool) -> None:
        """Mark the generation as ready; the first one becomes live."""
        self._write([], term, "ready", products=products)
        with self._link.reachable():
            if claim:
                self._link.client().set(keys.live_key(), self._generation, nx=True)
            live = self._look_at_live()
        if live == self._generation:
            self._write([], term, "live")

    def was_live(self) -> bool | None:
        """Whether readers used this generation when any was last seen to be live."""
        return self._was_live

    def ping(self) -> None:
        """Raise ServerUnavailable when Redis does not answer."""
        with self._link.reachable():
            self._link.client().ping()

    def close(self) -> None:
        """Close the connections."""
        self._link.close()

    def _write(self, operations: list[Operation], term: int, state: str = "", **fields: int) -> None:
        """The products first; the number of the write once they are answered."""
        told = [part for name, value in fields.items() for part in (name, str(value))]
        numbers = str(self._number), str(self._number + 1)

        def written() -> Any:
            wire = self._link.writer
            _judge(wire.ask(calls(operations, self._link.topology(), self._generation, term)), term)
            return self._on_meta(wire, ADVANCE, str(term), *numbers, state, *told)

        _judge([self._link.steadily(written)], term)
        self._number += 1

    def _raise_fences(self, wire: Wire, term: int) -> bool:
        """Whether no fence stands higher: then only this term can write."""
        topology = self._link.topology()
        fences = ((slot, topology.fence(self._generation, slot)) for slot in topology.slots)
        return not any(list(wire.ask((slot, RAISE.call([fence], [str(term)])) for slot, fence in fences)))

    def _on_meta(self, wire: Wire, script: Script, *arguments: str) -> Any:
        slot = self._link.topology().slot_of(self._meta)
        return next(wire.ask([(slot, script.call([self._meta], list(arguments)))]))

    def _look_at_live(self) -> str | None:
        """The live generation. That there is none may be a loss, so it does not say that ours was not."""
        live = cast("str | None", self._link.client().get(keys.live_key()))
        if live is not None:
            self._was_live = live == self._generation
        return live


def _judge(answers: Iterable[int], term: int) -> None:
    """Every answer is 0, or what a script found in place of what it should."""
    for answer in answers:
        if answer > term:
            raise Fenced(f"another instance leads under term {answer}, ours was {term}: stop writing")
        if answer:
            raise StoreLost(f"Redis does not have what was written under term {term}: publish everything again")


def _number(answer: int | str, term: int) -> int:
    """Of the last write: text, where a number stands in place of the term."""
    if not isinstance(answer, str):
        _judge([answer], term)
    return int(answer)


def _meta_fields(generation: Generation) -> dict[str, str]:
    return {
        "model": generation.model,
        "dim": str(generation.dim),
        "metric": generation.metric,
        "k": str(generation.k),
        "products": str(generation.products),
        "state": generation.state,
        "created_at": f"{generation.created_at:.3f}",
    }


def _check_same_settings(name: str, stored: dict[str, str], ours: dict[str, str]) -> None:
    for setting in FIXED:
        if setting in stored and stored[setting] != ours[setting]:
            raise KinstreamError(
                f"generation {name} in Redis was built with {setting} {stored[setting]}, this service has "
                f"{ours[setting]}: build beside it under another KINSTREAM_GENERATION and promote that"
            )
