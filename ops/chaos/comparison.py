"""The ledger against Redis: what is lost, what should not be there, and how right the lists are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ledger import State
from numpy.typing import NDArray
from stored import Stored, facts_of

TIE = 1e-5
"""A member is right when its cosine is at most this far below the k-th best: the rounding of float32."""
ROWS = 1024


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found.

    Attributes:
        lost: products without a card, or whose card says something older than what was acknowledged.
        ghosts: products that are gone and still stored, and members of lists that are gone or unavailable.
        right: members that belong on their lists.
        expected: members that there should be.
        flawed: products whose list is not all right.
    """

    lost: list[str]
    ghosts: list[str]
    right: int
    expected: int
    flawed: set[str]

    @property
    def recall(self) -> float:
        """Share of the members that there should be."""
        return self.right / self.expected if self.expected else 1.0


def compare(live: Mapping[str, State], stored: Stored, k: int) -> Comparison:
    """Compare everything. ``live`` are the products that there are, lists are of their k nearest."""
    lost = [id for id, state in live.items() if stored.cards.get(id) != facts_of(state)]
    ghosts = sorted((stored.cards.keys() | stored.lists.keys()) - live.keys())
    right, expected, flawed = 0, 0, set[str]()
    for id, there_should, there_are in _lists(live, stored, k):
        ghosts += [f"{member} on {id}" for member in stored.lists.get(id, []) if not _fit(live, id, member)]
        right, expected = right + there_are, expected + there_should
        if there_are < there_should:
            flawed.add(id)
    return Comparison(lost, ghosts, right, expected, flawed)


def agreement(one: Stored, other: Stored, flawed: set[str]) -> float:
    """Share of the lists that are the same in both, or differ by ties alone: neither is ``flawed``."""
    ids = one.lists.keys() | other.lists.keys()
    same = sum(set(one.lists.get(id, ())) == set(other.lists.get(id, ())) or id not in flawed for id in ids)
    return same / len(ids) if ids else 1.0


def _fit(live: Mapping[str, State], id: str, member: str) -> bool:
    state = live.get(member)
    return state is not None and state.available and member != id


def _lists(live: Mapping[str, State], stored: Stored, k: int) -> list[tuple[str, int, int]]:
    """Of each product: its id, how many members there should be, and how many of its members are right."""
    ids = list(live)
    row_of = {id: row for row, id in enumerate(ids)}
    vectors = _normalised(live)
    hidden = np.array([not state.available for state in live.values()], np.bool_)
    counted = []
    for start in range(0, len(ids), ROWS):
        scores = vectors[start : start + ROWS] @ vectors.T
        scores[:, hidden] = -np.inf
        np.fill_diagonal(scores[:, start:], -np.inf)
        there_should = np.minimum(np.isfinite(scores).sum(1), k)
        least = np.partition(scores, -k, axis=1)[:, -k:].min(1) if len(ids) >= k else np.full(len(scores), -np.inf)
        for row, id in enumerate(ids[start : start + ROWS]):
            known = [row_of[member] for member in set(stored.lists.get(id, ())) if member in row_of]
            found = scores[row, known]
            there_are = int((np.isfinite(found) & (found >= least[row] - TIE)).sum())
            counted.append((id, int(there_should[row]), min(there_are, int(there_should[row]))))
    return counted


def _normalised(live: Mapping[str, State]) -> NDArray[np.float32]:
    """Vectors [n, dim] of unit length."""
    vectors = np.stack([state.vector for state in live.values()])
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
