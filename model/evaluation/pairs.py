"""Pair matching: same product or not, by a threshold on the score that the validation split chooses."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset, Pair
from model.evaluation.bootstrap import Statistic, Values, Weights, ratio
from model.evaluation.ranking import Scores, Space
from model.evaluation.retrieval import rows
from model.evaluation.tasks import trained_on

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class PairScores:
    """Labelled pairs: scores float32 [n], whether they are the same product, whether a side is in a match of train."""

    scores: Scores
    same: Flags
    seen: Flags


def score_pairs(dataset: Dataset, split: str, space: Space) -> PairScores:
    """Score the pairs of a split.

    Raises:
        ValueError: the split has no pairs, or all have one label.
    """
    pairs = [pair for pair in dataset.pairs if pair.split == split]
    same = np.array([pair.same for pair in pairs], bool)
    if not same.any() or same.all():
        raise ValueError(
            f"{dataset.name}, split {split!r}: {int(same.sum())} of {len(pairs)} pairs match, need both kinds"
        )
    trained = trained_on(dataset)
    seen = np.array([pair.left in trained or pair.right in trained for pair in pairs], bool)
    return PairScores(_scores(dataset, pairs, space), same, seen)


def best_threshold(pairs: PairScores) -> float:
    """The threshold with the highest F1, half way to the next lower score; pairs at or above it match."""
    order = np.argsort(-pairs.scores, kind="stable")
    scores, right = pairs.scores[order].astype(np.float64), pairs.same[order].cumsum()
    f1 = 2 * right / (np.arange(1, len(order) + 1) + right[-1])
    ends = _ends(scores)
    at = ends[int(np.argmax(f1[ends]))]
    return float((scores[at] + scores[at + 1]) / 2) if at + 1 < len(scores) else float(scores[at])


def f1(pairs: PairScores, threshold: float) -> Statistic:
    """Harmonic mean of precision and recall of "score at or above the threshold"; resampled by pair."""
    chosen = (pairs.scores >= threshold).astype(np.float64)
    return ratio(2 * chosen * pairs.same, chosen + pairs.same)


def average_precision(pairs: PairScores) -> Statistic:
    """Sum over falling scores of precision times the step in recall, pairs of one score together."""
    order = np.argsort(-pairs.scores, kind="stable")
    same, ends = pairs.same[order], _ends(pairs.scores[order])

    def area(weights: Weights) -> Values:
        sorted_weights = weights[:, order]
        taken = sorted_weights.cumsum(axis=1)[:, ends]
        right = (sorted_weights * same).cumsum(axis=1)[:, ends]
        precision = np.divide(right, taken, out=np.zeros_like(right), where=taken > 0)
        steps = np.diff(right, axis=1, prepend=0)
        total = np.maximum(right[:, -1], 1e-12)
        return np.asarray((steps * precision).sum(axis=1) / total, np.float64)

    return area


def _ends(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """The last position of each run of equal scores."""
    return np.flatnonzero(np.append(scores[1:] != scores[:-1], True)).astype(np.int64)


def _scores(dataset: Dataset, pairs: list[Pair], space: Space) -> Scores:
    """One row of scores for each distinct left side, of which the right sides are taken.

    The candidates are the right sides of all splits: what depends on them must not change from split to split.
    """
    asked: dict[str, list[int]] = defaultdict(list)
    for at, pair in enumerate(pairs):
        asked[pair.left].append(at)
    position = {id: at for at, id in enumerate(dict.fromkeys(pair.right for pair in dataset.pairs))}
    scorer = space.scorer(list(asked), list(position))
    scores = np.empty(len(pairs), np.float32)
    for places, row in zip(asked.values(), rows(scorer, len(asked)), strict=True):
        scores[places] = row[[position[pairs[at].right] for at in places]]
    return scores
