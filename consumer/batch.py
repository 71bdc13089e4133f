"""Coalescing: a batch of records becomes at most one action a product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from consumer.catalogue import Catalogue
from consumer.content import fingerprint
from consumer.metric import LONGEST, SHORTEST
from consumer.types import DeadLetter, Metric, Outcome, Plan, Record, Upsert
from producer.events import BadEvent, Deletion, Product, decode_event


class Coalescer:
    """Compares events with what was applied before them, in this batch or earlier; changes nothing itself."""

    def __init__(
        self,
        catalogue: Catalogue,
        dim: int,
        refusal: Callable[[Product], str | None],
        fact_attributes: frozenset[str],
        metric: Metric,
    ) -> None:
        self._metric = metric
        self._catalogue = catalogue
        self._dim = dim
        self._refusal = refusal
        self.fingerprint = fingerprint(fact_attributes)

    def plan(self, records: Sequence[Record]) -> Plan:
        """Decode and coalesce. A bad event becomes a dead letter and does not supersede a good one before it."""
        draft = _Draft()
        outcomes = [self._add(draft, record) for record in records]
        changing = [record for record, outcome in zip(records, outcomes, strict=True) if outcome in CHANGING]
        return Plan(list(draft.upserts.values()), list(draft.deletions), draft.letters, Counter(outcomes), changing)

    def _add(self, draft: _Draft, record: Record) -> Outcome:
        try:
            event = decode_event(record.key, record.value, record.headers)
            if isinstance(event, Deletion):
                return self._delete(draft, event.id)
            return self._upsert(draft, event, record)
        except BadEvent as bad:
            draft.letters.append(DeadLetter(record, bad.reason, str(bad)))
            return "dead_letter"

    def _delete(self, draft: _Draft, id: str) -> Outcome:
        pending = draft.upserts.pop(id, None)
        known = self._catalogue.get(id)
        if known is not None and id not in draft.deletions:
            draft.deletions[id] = None
            return "deleted"
        return "unchanged" if pending is None else "deleted"

    def _upsert(self, draft: _Draft, product: Product, record: Record) -> Outcome:
        id, version = product.id, product.version
        known = None if id in draft.deletions else self._catalogue.get(id)
        before = draft.upserts.get(id) or known
        if before is not None and version is not None and before.version is not None and version <= before.version:
            return "stale" if version < before.version else "duplicate"
        content, facts = self.fingerprint(product)
        if before is not None and content == before.content and facts == before.facts:
            return "unchanged"
        embed = known is None or content != known.content
        if embed:
            self._check_encodable(product)
        draft.deletions.pop(id, None)
        draft.upserts[id] = Upsert(product, record, content, facts, version, embed)
        return "embedded" if before is None or content != before.content else "facts"

    def _check_encodable(self, product: Product) -> None:
        if product.embedding is None:
            refusal = self._refusal(product)
            if refusal is not None:
                raise BadEvent("NothingToEncode", refusal)
        elif len(product.embedding) != self._dim:
            raise BadEvent(
                "InvalidEmbedding",
                f"embedding has {len(product.embedding)} dimensions, this generation has {self._dim}: "
                "send vectors of the model that this generation was built with",
            )
        elif self._metric == "euclidean":
            length = float(np.linalg.norm(product.embedding))
            if not SHORTEST <= length <= LONGEST:
                raise BadEvent(
                    "InvalidEmbedding",
                    f"embedding is {length:.3g} long, a Euclidean generation takes {SHORTEST:g} to {LONGEST:g}: scale all",
                )


CHANGING: frozenset[Outcome] = frozenset({"embedded", "facts", "deleted"})


class _Draft(msgspec.Struct):
    upserts: dict[str, Upsert] = {}
    deletions: dict[str, None] = {}
    letters: list[DeadLetter] = []
