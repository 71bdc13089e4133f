"""The exact check: every list recomputed from the exported vectors and compared with what is stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from consumer.metric import exact_scores
from consumer.types import Export
from producer.progress import Shown, silent

ROWS = 1024
"""Lists checked at a time."""
COLUMNS = 8192
"""Products they are compared with at a time: ROWS x COLUMNS scores (64 MiB) are held at most."""
TIE = 1e-5
"""A member counts as right when its exact score is at most this far below the k-th best, for long distances this share of
it: the rounding of float32."""
MIN_RECALL = 0.995
MAX_FINDINGS = 5

Positions = NDArray[np.int64]
Scores = NDArray[np.float64]


class Stored(NamedTuple):
    """What a store has of one product: its list, best first, and whether it has a card."""

    neighbours: Sequence[tuple[str, float]]
    card: bool


class Verification(msgspec.Struct):
    """The result.

    Attributes:
        recall: right members / members there should be, over all checked lists; 1 when there should be none.
        lost: right members that are not on their lists.
        ghosts: members that are deleted, unavailable, or the product itself.
        missing: checked products without card, or without list though they have neighbours.
        orphans: stored ids that no product has.
        score_error: worst difference between a stored score and the exact one.
        checked: number of lists compared.
        findings: the first few faults, for people.
    """

    recall: float = 1.0
    lost: int = 0
    ghosts: int = 0
    missing: int = 0
    orphans: int = 0
    score_error: float = 0.0
    checked: int = 0
    findings: list[str] = msgspec.field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether the lists are as good as promised."""
        return self.recall >= MIN_RECALL and self.ghosts == 0


def verify(
    export: Export,
    fetch: Callable[[Sequence[str]], Sequence[Stored]],
    stored_ids: Iterable[str],
    sample: int | None = None,
    seed: int = 0,
    progress: Shown = silent,
) -> Verification:
    """Compare the stored lists with the exact ones.

    Args:
        export: the truth: every product, its vector, whether it is available.
        fetch: what is stored of some products, in their order.
        stored_ids: every id that has a list or card; repeats do no harm.
        sample: check only this many lists, drawn at random.
        seed: of that draw.
        progress: called with (lists done, lists in all).
    """
    check = _Check(export)
    chosen = _chosen(len(export.ids), sample, seed)
    for start in range(0, len(chosen), ROWS):
        rows = chosen[start : start + ROWS]
        check.block(rows, fetch([export.ids[row] for row in rows]))
        progress(start + len(rows), len(chosen))
    return check.result(set(stored_ids))


def exact_best(export: Export, rows: Positions, k: int) -> Scores:
    """Each row's k best exact scores among the other available products: float64 [rows, k], padded with -inf.

    In no order but that column 0 is the worst of them.
    """
    best = np.full((len(rows), k), -np.inf)
    queries = export.vectors[rows]
    for start in range(0, len(export.ids), COLUMNS):
        scores = exact_scores(export.generation.metric, queries, export.vectors[start : start + COLUMNS])
        scores[:, ~export.available[start : start + COLUMNS]] = -np.inf
        own = rows - start
        inside = np.flatnonzero((own >= 0) & (own < scores.shape[1]))
        scores[inside, own[inside]] = -np.inf
        best = _merged(best, scores)
    return best


def _merged(best: Scores, scores: Scores) -> Scores:
    """The k best of both; only the few scores that beat a row's worst are looked at twice."""
    row, column = np.nonzero(scores > best[:, :1])
    counts = np.bincount(row, minlength=len(best))
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    fresh = np.full((len(best), int(counts.max(initial=0))), -np.inf)
    fresh[row, place] = scores[row, column]
    both = np.concatenate([best, fresh], axis=1)
    return np.partition(both, fresh.shape[1], axis=1)[:, fresh.shape[1] :]


class _Check:
    """Counts what is found, block by block."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._rows = {id: row for row, id in enumerate(export.ids)}
        self._available = int(export.available.sum())
        self._right = self._expected = 0
        self._result = Verification()

    def block(self, rows: Positions, stored: Sequence[Stored]) -> None:
        worst = exact_best(self._export, rows, self._export.generation.k)[:, 0]
        for row, score, found in zip(rows.tolist(), worst.tolist(), stored, strict=True):
            self._compare(row, score, found)

    def result(self, stored_ids: set[str]) -> Verification:
        orphans = stored_ids - self._rows.keys()
        for id in sorted(orphans)[:MAX_FINDINGS]:
            self._note(f"{id} is stored but no product has that id")
        self._result.orphans = len(orphans)
        self._result.lost = self._expected - self._right
        self._result.recall = self._right / self._expected if self._expected else 1.0
        return self._result

    def _compare(self, row: int, worst: float, found: Stored) -> None:
        """Compare one list, given the exact score of the last that belongs on it."""
        expected = min(self._export.generation.k, self._available - int(self._export.available[row]))
        self._result.checked += 1
        self._expected += expected
        self._absence(row, expected, found)
        exact = self._exact(row, found)
        alive = [self._alive(row, id) for id, _ in found.neighbours]
        least = worst - TIE * max(1.0, abs(worst))
        self._right += min(expected, sum(ok and score >= least for ok, score in zip(alive, exact, strict=True)))

    def _absence(self, row: int, expected: int, found: Stored) -> None:
        if not found.card or (expected and not found.neighbours):
            self._result.missing += 1
            self._note(f"{self._export.ids[row]} has no {'list' if found.card else 'card'}")

    def _exact(self, row: int, found: Stored) -> list[float]:
        """Exact scores of the members, -inf for those that do not exist; notes how far the stored ones are off."""
        members = [self._rows.get(id, -1) for id, _ in found.neighbours]
        vectors, metric = self._export.vectors, self._export.generation.metric
        exact = exact_scores(metric, vectors[row : row + 1], vectors[members])[0]
        exact[np.array(members, np.int64) < 0] = -np.inf
        errors = [abs(score - true) for (_, score), true in zip(found.neighbours, exact.tolist(), strict=True)]
        self._result.score_error = max([self._result.score_error, *filter(math.isfinite, errors)])
        return list(exact.tolist())

    def _alive(self, row: int, id: str) -> bool:
        """Whether a member may be on the row's list; counts it as a ghost if not."""
        member = self._rows.get(id)
        if member is not None and member != row and self._export.available[member]:
            return True
        why = "is deleted" if member is None else "is the product itself" if member == row else "is unavailable"
        self._result.ghosts += 1
        self._note(f"the list of {self._export.ids[row]} names {id}, which {why}")
        return False

    def _note(self, finding: str) -> None:
        if len(self._result.findings) < MAX_FINDINGS:
            self._result.findings.append(finding)


def _chosen(products: int, sample: int | None, seed: int) -> Positions:
    if sample is None or sample >= products:
        return np.arange(products)
    return np.sort(np.random.default_rng(seed).choice(products, sample, replace=False))
