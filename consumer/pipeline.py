"""State and a batch in, changes out: nothing here talks to a server."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import msgspec
import numpy as np

from consumer.batch import Coalescer
from consumer.catalogue import Catalogue, Known
from consumer.content import card_fields, without_facts
from consumer.errors import EncoderFailed
from consumer.metric import placed as as_placed
from consumer.neighbours import NeighbourGraph
from consumer.ports import Encoder
from consumer.types import (
    Batch,
    CardWrite,
    Changes,
    DeadLetter,
    ListWrite,
    Outcome,
    Plan,
    Record,
    Slots,
    Upsert,
    Vectors,
)
from producer.events import Product

MOVES = 64
"""Vectors that one idle moment may move: some 20 ms of work."""
Stage = Callable[[str], AbstractContextManager[None]]
"""Times a named stage of the work."""


class Applied(msgspec.Struct, frozen=True):
    """What applying a batch did: ``touched`` are the slots whose lists changed."""

    plan: Plan
    touched: Slots
    cards: list[CardWrite]
    removed: list[str]


class Pipeline:
    """Decode, coalesce, encode, index: the product catalogue and its neighbour graph as one state.

    ``lock`` guards the state: hold it to read the graph or the catalogue from another thread.
    """

    def __init__(
        self,
        encoder: Encoder,
        graph: NeighbourGraph,
        catalogue: Catalogue,
        fact_attributes: frozenset[str],
        stage: Stage,
    ) -> None:
        self.lock = threading.Lock()
        self._encoder = encoder
        self._graph = graph
        self._catalogue = catalogue
        self._fact_attributes = fact_attributes
        self._coalescer = Coalescer(catalogue, encoder.dim, encoder.refusal, fact_attributes, graph.metric)
        self._stage = stage

    def apply(self, batch: Batch) -> Applied:
        """Apply a batch to the state.

        Raises:
            EncoderFailed: the encoder fails on everything, not on one product of the batch.
        """
        plan, vectors, refused = self._planned(batch.records)
        if refused:
            outcomes = plan.outcomes + Counter[Outcome](dead_letter=len(refused))
            plan = msgspec.structs.replace(plan, letters=plan.letters + refused, outcomes=outcomes)
        with self._stage("index"), self.lock:
            return self._indexed(plan, vectors)

    def revisit(self, now: float) -> Slots | None:
        """Apply the images that arrived since their products were encoded: the changed slots, None without images."""
        products = self._encoder.revisit(now)
        return self.reapply(products) if products else None

    def reapply(self, products: Sequence[Product]) -> Slots:
        """Encode and place products again, those whose content is still the same. Cards and facts stay as they are.

        Returns the slots whose lists changed.

        Raises:
            EncoderFailed: the encoder fails on everything, not on one of the products.
        """
        current = [(product, known) for product in products if (known := self._current(product))]
        same = [product for product, _ in current]
        vectors = np.zeros((len(same), self._encoder.dim), np.float32)
        with self._stage("encode"):
            failed = self._encode(same, list(range(len(same))), vectors) if same else {}
        with self._stage("index"), self.lock:
            rows = [row for row in range(len(same)) if row not in failed]
            placed = _slots([current[row][1].slot for row in rows])
            shown = _slots([current[row][1].slot for row in rows if current[row][1].available])
            return self._graph.apply(_slots([]), _slots([]), shown, placed, vectors[rows])

    def delete(self, ids: Sequence[str]) -> Applied:
        """Delete products that are known, without an event."""
        with self._stage("index"), self.lock:
            plan = Plan([], list(ids), [], Counter(), [])
            return self._indexed(plan, np.empty((0, self._encoder.dim), np.float32))

    def maintain(self, now: float) -> None:
        """Do a bounded part of what keeps memory in proportion to the living; for idle moments."""
        with self.lock:
            self._graph.maintain(MOVES)

    def changes(self, applied: Applied) -> Changes:
        """What readers must see of an applied batch."""
        return Changes(self.lists(applied.touched), applied.cards, applied.removed, len(self._catalogue))

    def lists(self, slots: Slots) -> list[ListWrite]:
        """The published lists of slots [n]."""
        near, found = self._graph.best(slots)
        id_of = self._catalogue.id_of
        return [
            ListWrite(id_of(slot), [(id_of(z), score) for z, score in zip(row, scores, strict=True) if z >= 0])
            for slot, row, scores in zip(slots.tolist(), near.tolist(), found.tolist(), strict=True)
        ]

    def _planned(self, records: list[Record]) -> tuple[Plan, Vectors, list[DeadLetter]]:
        """Plan and encode; what the encoder fails on is left out, and the rest is planned as if it had never been sent."""
        encoded: dict[bytes, Vectors] = {}
        refused: list[DeadLetter] = []
        while True:
            with self._stage("decode"):
                plan = self._coalescer.plan(records)
            wanted = [upsert for upsert in plan.upserts if upsert.embed]
            with self._stage("encode"):
                letters = self._encode_new(wanted, encoded)
            if not letters:
                vectors = [encoded[upsert.content] for upsert in wanted]
                return plan, np.array(vectors, np.float32).reshape(len(wanted), self._encoder.dim), refused
            refused += letters
            culprits = {id(letter.record) for letter in letters}
            records = [record for record in records if id(record) not in culprits]

    def _encode_new(self, wanted: list[Upsert], encoded: dict[bytes, Vectors]) -> list[DeadLetter]:
        """Add the vectors that are not there yet, by content; letters for those that the encoder fails on."""
        for upsert in wanted:
            if upsert.product.embedding is not None and upsert.content not in encoded:
                embedding = np.array([upsert.product.embedding])
                encoded[upsert.content] = as_placed(self._graph.metric, embedding)[0]
        rest = [upsert for upsert in wanted if upsert.content not in encoded]
        products = [without_facts(upsert.product, self._fact_attributes) for upsert in rest]
        vectors = np.zeros((len(rest), self._encoder.dim), np.float32)
        failed = self._encode(products, list(range(len(rest))), vectors) if rest else {}
        encoded.update((upsert.content, vectors[row]) for row, upsert in enumerate(rest) if row not in failed)
        return [DeadLetter(rest[row].record, "EncoderFailed", reason) for row, reason in failed.items()]

    def _current(self, product: Product) -> Known | None:
        """What is known of a product whose content is still this."""
        known = self._catalogue.get(product.id)
        return known if known is not None and known.content == self._coalescer.fingerprint(product)[0] else None

    def _encode(self, products: Sequence[Product], rows: list[int], vectors: Vectors) -> dict[int, str]:
        """Encode rows into vectors; halves a failing batch until the culprits are alone. Returns row -> reason."""
        try:
            vectors[rows] = self._encoder.encode([products[row] for row in rows])
        except EncoderFailed as error:
            if len(rows) == 1:
                self._encoder.encode_texts(["probe"])
                return {rows[0]: str(error)}
            half = len(rows) // 2
            return self._encode(products, rows[:half], vectors) | self._encode(products, rows[half:], vectors)
        return {}

    def _indexed(self, plan: Plan, vectors: Vectors) -> Applied:
        placed: list[int] = []
        shown: list[int] = []
        hidden: list[int] = []
        cards: list[CardWrite] = []
        for upsert in plan.upserts:
            product = upsert.product
            before = self._catalogue.get(product.id)
            was_available = before is not None and before.available
            card = card_fields(product)
            known, lost = self._catalogue.put(upsert, card)
            cards.append(CardWrite(product.id, card, lost, facts_only=not upsert.embed))
            if upsert.embed:
                placed.append(known.slot)
            if product.available and (upsert.embed or not was_available):
                shown.append(known.slot)
            elif was_available and not product.available and not upsert.embed:
                hidden.append(known.slot)
        dropped = [gone.slot for gone in map(self._catalogue.get, plan.deletions) if gone is not None]
        touched = self._graph.apply(_slots(dropped), _slots(hidden), _slots(shown), _slots(placed), vectors)
        for deleted in plan.deletions:
            self._catalogue.pop(deleted)
        return Applied(plan, touched, cards, plan.deletions)


def _slots(slots: list[int]) -> Slots:
    return np.array(slots, np.int32)
