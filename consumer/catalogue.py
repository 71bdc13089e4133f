"""What is known of every product: its slot, what was applied last, and what its card shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np

from consumer.types import Slots, Upsert


class Known(msgspec.Struct, gc=False):
    """One product as it was applied last."""

    slot: int
    content: bytes
    facts: int
    version: int | None
    available: bool
    fields: tuple[str, ...]
    """The fields on its card; one tuple is shared by all products that have the same."""


class Catalogue:
    """Products by id, and ids by slot; slots of the deleted are given out again."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._ids: list[str | None] = []
        self._free: list[int] = []
        self._unavailable = 0
        self._shapes: dict[tuple[str, ...], tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def unavailable(self) -> int:
        """How many products are unavailable."""
        return self._unavailable

    def get(self, id: str) -> Known | None:
        """What is known of a product."""
        return self._known.get(id)

    def items(self) -> Iterator[tuple[str, Known]]:
        """All products, in no order that means anything."""
        return iter(self._known.items())

    def slots(self) -> Slots:
        """The slots of all products, in the order of items()."""
        return np.fromiter((known.slot for known in self._known.values()), np.int32, len(self._known))

    def id_of(self, slot: int) -> str:
        """The id of the product in a slot."""
        id = self._ids[slot]
        if id is None:
            raise KeyError(f"slot {slot} is free")
        return id

    def put(self, upsert: Upsert, card: Iterable[str]) -> tuple[Known, bool]:
        """Record what was applied and the names of its card's fields; returns the state, and whether a field is gone."""
        product = upsert.product
        shape = tuple(card)
        fields = self._shapes.setdefault(shape, shape)
        known = self._known.get(product.id)
        if known is None:
            known = self._known[product.id] = Known(
                self._slot(product.id),
                upsert.content,
                upsert.facts,
                product.version,
                product.available,
                fields,
            )
            self._unavailable += not product.available
            return known, False
        gone = known.fields is not fields and not set(known.fields) <= set(fields)
        self._unavailable += known.available - product.available
        known.content, known.facts, known.fields = upsert.content, upsert.facts, fields
        known.version, known.available = product.version, product.available
        return known, gone

    def pop(self, id: str) -> Known:
        """Forget a product; its slot is free."""
        known = self._known.pop(id)
        self._unavailable -= not known.available
        self._ids[known.slot] = None
        self._free.append(known.slot)
        return known

    def _slot(self, id: str) -> int:
        if self._free:
            slot = self._free.pop()
            self._ids[slot] = id
            return slot
        self._ids.append(id)
        return len(self._ids) - 1
