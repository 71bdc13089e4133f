"""What was applied to the state in memory and may not be readable yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec
import numpy as np

from consumer.pipeline import Applied
from consumer.types import CardWrite, DeadLetter, Offsets, Outcome, Record, Slots

MOST_ENTRIES = 512
"""Batches kept apart; older ones are put together."""


class Entry(msgspec.Struct, frozen=True):
    """What a batch, or several in a row, left to be done.

    ``offsets`` are committable once it is done; ``since`` are the timestamps of the records that changed something.
    """

    offsets: Offsets
    touched: Slots
    cards: dict[str, CardWrite]
    removed: list[str]
    letters: list[DeadLetter]
    since: list[float]
    outcomes: Counter[Outcome]


def entry_of(offsets: Offsets, applied: Applied, committed: Offsets) -> Entry:
    """What one applied batch leaves to be done; what lies before the committed offsets was done once already."""
    return Entry(
        offsets,
        applied.touched,
        {card.id: card for card in applied.cards},
        applied.removed,
        [letter for letter in applied.plan.letters if is_new(letter.record, committed)],
        [record.timestamp for record in applied.plan.changing if is_new(record, committed)],
        applied.plan.outcomes,
    )


def is_new(record: Record, committed: Offsets) -> bool:
    """Whether a record lies behind the committed offsets."""
    return record.offset >= committed.get((record.topic, record.partition), 0)


class Backlog:
    """Entries in the order of their batches.

    While ``everything`` is to be written anyway, entries keep nothing of single products.
    """

    def __init__(self) -> None:
        self.everything = True
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Add a batch."""
        if self.everything:
            self._add_in_short(entry)
            return
        self._entries.append(entry)
        if len(self._entries) > MOST_ENTRIES:
            self._entries = [merged(self._entries)]

    def _add_in_short(self, entry: Entry) -> None:
        if not self._entries:
            self._entries.append(Entry({}, np.empty(0, np.int32), {}, [], [], [], Counter()))
        last = self._entries[-1]
        last.offsets.update(entry.offsets)
        last.letters.extend(entry.letters)
        last.since.extend(entry.since)
        last.outcomes.update(entry.outcomes)

    def pruned(self, committed: Offsets) -> Iterator[Entry]:
        """Take out, one by one, the first entries that lie before the committed offsets: somebody else has done them."""
        while self._entries and reaches(committed, self._entries[0].offsets):
            yield self._entries.pop(0)

    def rest(self) -> Entry | None:
        """Everything there is to do, as one entry; it stays until ``clear``."""
        return merged(self._entries) if self._entries else None

    def clear(self) -> None:
        """It is done."""
        self._entries.clear()


def merged(entries: list[Entry]) -> Entry:
    """Several entries as one. A card is written as a whole then: what it was before is not known."""
    if len(entries) == 1:
        return entries[0]
    cards = {id: card for entry in entries for id, card in entry.cards.items()}
    return Entry(
        {place: offset for entry in entries for place, offset in entry.offsets.items()},
        np.unique(np.concatenate([entry.touched for entry in entries])),
        {id: msgspec.structs.replace(card, gone=True, facts_only=False) for id, card in cards.items()},
        list(dict.fromkeys(id for entry in entries for id in entry.removed)),
        [letter for entry in entries for letter in entry.letters],
        [timestamp for entry in entries for timestamp in entry.since],
        sum((entry.outcomes for entry in entries), Counter[Outcome]()),
    )


def reaches(committed: Offsets, offsets: Offsets) -> bool:
    """Whether offsets lie before the committed ones, or at them."""
    return all(committed.get(place, 0) >= offset for place, offset in offsets.items())
