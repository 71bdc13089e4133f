"""Exact search: at which ranks the right answers of each query are, and the figures that follow from the ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.evaluation.bootstrap import Statistic, Values, Weights, ratio
from model.evaluation.ranking import Scorer, Scores, Space
from model.evaluation.tasks import Counting, Task

BLOCK = 256
"""Queries at a time: with 25,000 candidates a block has 25 MB."""
DECIMALS = 6
"""Scores that agree to this many decimals are equal: a matrix product gives equal products slightly different ones."""
CUTS = (1, 5, 10, 50)
SHARE = 0.995

Ranks = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answer:
    """Where the right answers of one query are: ranks int64 [matches], ascending, the nearest candidate has rank 1."""

    query: str
    seen: bool
    ranks: Ranks


@dataclass(frozen=True, slots=True)
class Table:
    """The answers to all queries of a task."""

    counting: Counting
    answers: Sequence[Answer]

    @property
    def matches(self) -> int:
        """The number of right answers."""
        return sum(len(answer.ranks) for answer in self.answers)

    def where(self, seen: bool) -> Table:
        """Only the queries that have, or have not, a match in the training split."""
        return replace(self, answers=[answer for answer in self.answers if answer.seen == seen])


def search(task: Task, space: Space) -> Table:
    """Rank all candidates for every query of the task, equal scores in the order of the candidates.

    Raises:
        ArithmeticError: a score is not finite.
    """
    position = {id: at for at, id in enumerate(task.candidates)}
    scorer = space.scorer([query.id for query in task.queries], task.candidates)
    answers = [
        Answer(query.id, query.seen, ranks_of(scores, _at(query.right, position), _at(query.hidden, position)))
        for query, scores in zip(task.queries, rows(scorer, len(task.queries)), strict=True)
    ]
    return Table(task.counting, answers)


def rows(scorer: Scorer, queries: int) -> Iterator[Scores]:
    """The scores [candidates] of each query, computed in blocks.

    Raises:
        ArithmeticError: a score is not finite, which would compare with nothing and so seem to be the best.
    """
    for start in range(0, queries, BLOCK):
        block = scorer(slice(start, min(start + BLOCK, queries)))
        if not np.isfinite(block).all():
            raise ArithmeticError(f"queries {start} to {start + len(block) - 1}: a score is not finite")
        yield from block


def ranks_of(scores: Scores, right: Ranks, hidden: Ranks) -> Ranks:
    """Ranks [right], ascending, in the order by score [candidates] and then by position, the hidden ones left out."""
    rounded = np.round(scores, DECIMALS)
    rounded[hidden] = -np.inf
    wanted = rounded[right][:, None]
    earlier = np.arange(len(rounded)) < right[:, None]
    before = (rounded > wanted) | ((rounded == wanted) & earlier)
    return np.sort(1 + before.sum(axis=1))


def figures(table: Table) -> dict[str, Statistic]:
    """All figures of a table, by name; each can be computed on resampled queries."""
    found = {f"recall@{k}": recall(table, k) for k in CUTS}
    return found | {
        "hit@1": _mean(table, lambda ranks: float(ranks[0] == 1)),
        "mrr": _mean(table, lambda ranks: 1 / float(ranks[0])),
        "average_precision": _mean(table, average_precision),
        "k99.5": needed(table, SHARE),
    }


def recall(table: Table, k: int) -> Statistic:
    """Recall within the first k, as the table counts it."""
    if table.counting == "capped":
        return _mean(table, lambda ranks: float((ranks <= k).sum()) / min(k, len(ranks)))
    counts = [((counted(table.counting, answer.ranks) <= k).sum(), len(answer.ranks)) for answer in table.answers]
    found, all_of_them = np.array(counts, np.float64).reshape(-1, 2).T
    return ratio(found, all_of_them)


def curve(table: Table, cuts: Sequence[int]) -> list[float]:
    """Recall at each cut."""
    everyone = np.ones((1, len(table.answers)))
    return [float(recall(table, k)(everyone)[0]) for k in cuts]


def needed(table: Table, share: float) -> Statistic:
    """The smallest k whose lists hold this share of all matches."""
    ranks = [counted(table.counting, answer.ranks) for answer in table.answers]
    flat = np.concatenate(ranks) if ranks else np.empty(0, np.int64)
    owner = np.repeat(np.arange(len(ranks)), [len(of) for of in ranks])
    order = np.argsort(flat, kind="stable")

    def smallest(weights: Weights) -> Values:
        held = weights[:, owner[order]].cumsum(axis=1)
        first = (held < share * held[:, -1:] - 1e-9).sum(axis=1)
        return np.asarray(flat[order][first], np.float64)

    return smallest


def counted(counting: Counting, ranks: Ranks) -> Ranks:
    """The ranks as recall counts them: with the other matches in the list, or without."""
    return ranks - np.arange(len(ranks)) if counting == "filtered" else ranks


def average_precision(ranks: Ranks) -> float:
    """Mean over the matches of the precision at their rank."""
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def _mean(table: Table, value: Callable[[Ranks], float]) -> Statistic:
    values = np.array([value(answer.ranks) for answer in table.answers], np.float64)
    return ratio(values, np.ones(len(values)))


def _at(ids: Sequence[str], position: dict[str, int]) -> Ranks:
    return np.array([position[id] for id in ids if id in position], np.int64)
