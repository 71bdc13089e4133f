"""What lies at both ends of the loop."""

from __future__ import annotations

from typing import Protocol

import msgspec

from consumer.ports import Source, Store
from consumer.types import Generation


class Leading(Protocol):
    """Whether this service is the one that writes."""

    def term(self) -> int:
        """The term under which it leads, 0 while it does not."""

    def answered(self) -> bool:
        """Whether the store has said once who leads."""

    def renew(self) -> None:
        """Ask for a new term; there is none until it is answered."""


class Ends(msgspec.Struct, frozen=True):
    """What lies at both ends of the loop, and whether this service may write to the store, as which generation."""

    source: Source
    store: Store
    leading: Leading
    generation: Generation
