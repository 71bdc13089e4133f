"""What several in-memory stores share, as several services share one Redis; a test can lose it or turn it back."""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from consumer.errors import Fenced, StoreLost
from consumer.leadership import LEASE_SECONDS
from consumer.types import Generation


class Kept(msgspec.Struct):
    """Everything that is kept of one generation."""

    meta: Generation | None = None
    term: int = 0
    leader: str = ""
    lease_until: float = 0.0
    number: int = 0
    lists: dict[str, list[tuple[str, float]]] = {}
    cards: dict[str, dict[str, str]] = {}

    def registered(self, generation: Generation) -> Generation:
        """The generation as it is stored, and this one when none was."""
        if self.meta is None:
            self.meta = generation
        return self.meta

    def expect(self, term: int, number: int | None = None) -> None:
        """Compare the term, and the number of the last write when it is given.

        Raises:
            Fenced: there is a later term.
            StoreLost: there is an earlier one, or another write was the last.
        """
        if self.term > term:
            raise Fenced(f"another instance leads under term {self.term}, ours was {term}: stop writing")
        if self.term < term or number not in (None, self.number):
            raise StoreLost(f"the store does not have what was written under term {term}: publish everything again")

    def advance(self, term: int, number: int, fields: Mapping[str, Any]) -> None:
        """Note the write after ``number`` and what it says of the generation."""
        self.expect(term, number)
        self.number = number + 1
        if self.meta is not None:
            self.meta = msgspec.structs.replace(self.meta, **fields)


class MemoryServer:
    """The generations on one server, and the name of the live one. ``clock`` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.live: str | None = None
        self.kept: defaultdict[str, Kept] = defaultdict(Kept)

    def lead(self, generation: str, instance: str, known: int) -> int:
        """The term under which the instance leads from now on, 0 while another one does."""
        kept, now = self.kept[generation], self.clock()
        if kept.leader not in ("", instance) and kept.lease_until > now:
            return 0
        if kept.leader != instance or kept.term != known:
            kept.term = max(kept.term + 1, known + 1, int(now * 1_000_000))
            kept.leader = instance
        kept.lease_until = now + LEASE_SECONDS
        return kept.term

    def lose(self) -> None:
        """As if flushed."""
        self.restore((None, {}))

    def dump(self) -> tuple[str | None, dict[str, Kept]]:
        """A copy of everything."""
        return copy.deepcopy((self.live, dict(self.kept)))

    def restore(self, dump: tuple[str | None, dict[str, Kept]]) -> None:
        """As if started from an old copy."""
        self.live, kept = copy.deepcopy(dump)
        self.kept = defaultdict(Kept, kept)
