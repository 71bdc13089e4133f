"""Events through the real decoder and the real pipeline, and the account that is kept of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from expectation import FACT_ATTRIBUTES, REFUSED, Expectation, card_is_right
from samples import DIM, Event, Fields

from consumer.catalogue import Catalogue
from consumer.exact import ExactIndex
from consumer.given import GivenVectors
from consumer.neighbours import NeighbourGraph
from consumer.pipeline import Applied, Pipeline
from consumer.types import Batch, Changes, DeadLetter, Record
from producer.events import BadEvent, Deletion, Product, decode_event

K = 5
LONGEST_MESSAGE = 2000
Told = tuple[str, Fields | None]


class System:
    """A catalogue, its graph, and what readers see of them."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self.graph = NeighbourGraph(ExactIndex(DIM), DIM, K, 2 * K, self.catalogue.id_of, "cosine")
        self.pipeline = Pipeline(
            GivenVectors(DIM), self.graph, self.catalogue, FACT_ATTRIBUTES, lambda _: nullcontext()
        )
        self.cards: dict[str, dict[str, str]] = {}
        self.lists: dict[str, list[tuple[str, float]]] = {}
        self.wanted = Expectation()

    def apply(self, records: list[Record]) -> Applied:
        applied = self.pipeline.apply(Batch(records, {}))
        self._show(self.pipeline.changes(applied))
        return applied

    def vectors(self) -> dict[str, Any]:
        """Every product's vector."""
        ids = [id for id, _ in self.catalogue.items()]
        return dict(zip(ids, self.graph.vectors(self.catalogue.slots()), strict=True))

    def _show(self, changes: Changes) -> None:
        self.cards.update((card.id, card.fields) for card in changes.cards)
        self.lists.update((write.id, write.neighbours) for write in changes.lists)
        for id in changes.removed:
            self.cards.pop(id, None)
            self.lists.pop(id, None)


@dataclass
class Account:
    """Feeds events, and keeps the books.

    ``fates`` counts (kind, fate); ``crashes`` and ``dropped`` tell each event that raised an exception, and each one
    that was neither applied as it should be nor refused with a reason, or both.
    """

    system: System = field(default_factory=System)
    fates: Counter[tuple[str, str]] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    sent: int = 0

    def feed(self, events: Sequence[Event]) -> None:
        """One batch."""
        batch = [(event, self._record(event)) for event in events]
        told = {record.offset: self._told(event, record) for event, record in batch}
        sound = [(event, record) for event, record in batch if told[record.offset] is not CRASHED]
        try:
            applied = self.system.apply([record for _, record in sound])
        except Exception as error:
            self.crashes.append(f"the pipeline, in the batch of events {batch[0][1].offset} on: {error!r}")
            self.system = System()
            return
        self._settle(sound, told, applied)

    def close(self) -> None:
        """Compare everything at the end."""
        self.dropped += (f"at the end: {fault}" for fault in faults(self.system))

    def _record(self, event: Event) -> Record:
        self.sent += 1
        return Record("products", 0, self.sent - 1, 0.0, event.key, event.value, event.headers)

    def _told(self, event: Event, record: Record) -> Any:
        """What the event says: id and fields, or None when it must be refused."""
        try:
            decoded = decode_event(record.key, record.value, record.headers)
        except BadEvent:
            return event.says
        except Exception as error:
            self.crashes.append(f"event {record.offset} ({event.kind}) crashed the decoder: {error!r}")
            return CRASHED
        return event.says or (None if event.refused else said(decoded))

    def _settle(self, batch: Sequence[tuple[Event, Record]], told: dict[int, Any], applied: Applied) -> None:
        letters = Counter(letter.record.offset for letter in applied.plan.letters)
        outcomes: Counter[str] = Counter()
        touched: set[str] = set()
        for event, record in batch:
            what = told[record.offset]
            outcome = REFUSED if what is None else self.system.wanted.apply(*what)
            touched |= set() if what is None else {what[0]}
            outcomes[outcome] += 1
            self.fates[event.kind, outcome] += 1
            if letters[record.offset] != (outcome == REFUSED):
                self._drop(event, record, f"{letters[record.offset]} letters, should be {outcome}")
        if outcomes != applied.plan.outcomes:
            self.dropped.append(f"batch up to {batch[-1][1].offset}: {outcomes} counted as {applied.plan.outcomes}")
        self.dropped += (fault for letter in applied.plan.letters for fault in untold(letter))
        self.dropped += (fault for id in touched for fault in card_faults(self.system, id))

    def _drop(self, event: Event, record: Record, why: str) -> None:
        self.dropped.append(
            f"event {record.offset} ({event.kind}), key {record.key!r:.60}, {record.value!r:.200}: {why}"
        )


CRASHED = object()


def said(event: Product | Deletion) -> Told:
    """What the decoder understood."""
    if isinstance(event, Deletion):
        return event.id, None
    names = [name for name in Product.__struct_fields__ if name != "id"]
    fields = {name: getattr(event, name) for name in names}
    return event.id, {name: value for name, value in fields.items() if value is not None}


def untold(letter: DeadLetter) -> Iterator[str]:
    """What is wrong with the reason of a letter."""
    good = letter.reason.isidentifier() and 0 < len(letter.message) <= LONGEST_MESSAGE and letter.message.isprintable()
    if not good:
        yield f"event {letter.record.offset}: the reason {letter.reason!r}, {letter.message!r:.300} is no printable line"


def card_faults(system: System, id: str) -> Iterator[str]:
    """What readers see of a product, against what they should."""
    fields, card, known = system.wanted.products.get(id), system.cards.get(id), system.catalogue.get(id)
    if (fields is None) != (card is None) or (fields is None) != (known is None):
        yield f"{id}: should be {fields}, card is {card}, known as {known}"
    elif fields is not None and card is not None and not card_is_right(card, fields):
        yield f"{id}: card is {card}, should show {fields}"


def faults(system: System) -> Iterator[str]:
    """Every card, every vector and every list."""
    wanted = system.wanted.products
    for id in {*wanted, *system.cards}:
        yield from card_faults(system, id)
    held = system.vectors()
    for id in wanted.keys() & held.keys():
        vector = np.array(wanted[id]["embedding"], np.float64)
        if not np.allclose(held[id], vector / np.linalg.norm(vector), atol=1e-5):
            yield f"{id}: vector is {held[id]}, should be the direction of {vector}"
    yield from list_faults(system)


def list_faults(system: System) -> Iterator[str]:
    """Lists whose scores are not the best there are, or that name what they may not."""
    wanted = system.wanted.products
    ids = list(wanted)
    vectors = np.array([wanted[id]["embedding"] for id in ids], np.float64).reshape(len(ids), DIM)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shown = np.array([wanted[id]["available"] for id in ids], np.bool_)
    for row, id in enumerate(ids):
        scores = vectors @ vectors[row]
        others = shown & (np.arange(len(ids)) != row)
        best = np.sort(scores[others])[::-1][:K]
        found = system.lists.get(id, [])
        named = {name for name, _ in found}
        if not named <= {ids[other] for other in np.flatnonzero(others)}:
            yield f"{id}: its list names {named}"
        if len(best) != len(found) or not np.allclose(best, [score for _, score in found], atol=1e-4):
            yield f"{id}: its list is {found}, the best scores are {best}"
