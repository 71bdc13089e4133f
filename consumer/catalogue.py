"""What is known of every product: its slot, what was applied last, and what its card shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from consumer.types import Slots, Upsert

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[str]).decode


DOUBTFUL = -1
"""In place of the hash of a product's facts, which is never negative."""


class Known(msgspec.Struct, gc=False):
    """One product as it was applied last."""

    slot: int
    content: bytes
    facts: int
    version: int | None
    available: bool
    fields: tuple[str, ...]
    """The fields on its card; one tuple is shared by all products that have the same."""
    card: bytes
    """MessagePack of the values of the fields: one object, where a text for each field would take three times the memory."""


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

    def card(self, id: str) -> dict[str, str]:
        """The card of a product, as it was put; KeyError for an unknown one."""
        known = self._known[id]
        return dict(zip(known.fields, _unpack(known.card), strict=True))

    def holds(self, slot: int) -> bool:
        """Whether a product has the slot now."""
        return slot < len(self._ids) and self._ids[slot] is not None

    def put(self, upsert: Upsert, card: Mapping[str, str]) -> tuple[Known, bool]:
        """Record what was applied and its whole card; returns the state, and whether the card lost a field."""
        product = upsert.product
        shape = tuple(card)
        fields = self._shapes.setdefault(shape, shape)
        values = bytes(memoryview(_pack(list(card.values()))))  # a copy: the encoder's own bytes take 60 more
        known = self._known.get(product.id)
        if known is None:
            known = self._known[product.id] = Known(
                self._slot(product.id),
                upsert.content,
                upsert.facts,
                product.version,
                product.available,
                fields,
                values,
            )
            self._unavailable += not product.available
            return known, False
        gone = known.fields is not fields and not set(known.fields) <= set(fields)
        self._unavailable += known.available - product.available
        known.content, known.facts, known.fields, known.card = upsert.content, upsert.facts, fields, values
        known.version, known.available = product.version, product.available
        return known, gone

    def pop(self, id: str) -> Known:
        """Forget a product; its slot is free."""
        known = self._known.pop(id)
        self._unavailable -= not known.available
        self._ids[known.slot] = None
        self._free.append(known.slot)
        return known

    def doubt_all(self) -> None:
        """Forget of every product what facts and which version were applied last: whatever comes next is applied."""
        for known in self._known.values():
            known.facts, known.version = DOUBTFUL, None

    def doubtful(self) -> list[str]:
        """Those of which nothing came since."""
        return [id for id, known in self._known.items() if known.facts == DOUBTFUL]

    def restore(self, products: Mapping[str, Known]) -> None:
        """Take over all products of another catalogue, slots included; this one is empty."""
        self._known.update(products)
        self._shapes.update((known.fields, known.fields) for known in products.values())
        self._unavailable = sum(not known.available for known in products.values())
        self._ids = [None] * (int(self.slots().max(initial=-1)) + 1)
        for id, known in products.items():
            self._ids[known.slot] = id
        self._free = [slot for slot in reversed(range(len(self._ids))) if self._ids[slot] is None]

    def _slot(self, id: str) -> int:
        if self._free:
            slot = self._free.pop()
            self._ids[slot] = id
            return slot
        self._ids.append(id)
        return len(self._ids) - 1
