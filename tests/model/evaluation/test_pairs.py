"""Pair matching against scikit-learn and against every possible threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from model.data.dataset import Dataset
from model.evaluation.bootstrap import Statistic
from model.evaluation.pairs import PairScores, average_precision, best_threshold, f1, score_pairs


@st.composite
def scored(draw: st.DrawFn) -> PairScores:
    same = draw(st.lists(st.booleans(), min_size=2, max_size=15).filter(lambda flags: any(flags) and not all(flags)))
    score = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
    scores = draw(st.lists(score, min_size=len(same), max_size=len(same)))
    return PairScores(np.array(scores, np.float32), np.array(same), np.zeros(len(same), bool))


def value(statistic: Statistic, pairs: PairScores) -> float:
    return float(statistic(np.ones((1, len(pairs.same))))[0])


@given(scored())
def test_average_precision_is_that_of_scikit_learn(pairs: PairScores) -> None:
    assert value(average_precision(pairs), pairs) == pytest.approx(average_precision_score(pairs.same, pairs.scores))


@given(scored())
def test_no_other_threshold_has_a_higher_f1(pairs: PairScores) -> None:
    threshold = best_threshold(pairs)

    best = max(f1_score(pairs.same, pairs.scores >= other) for other in [0.0, 0.25, 0.5, 0.75, 1.0])
    assert value(f1(pairs, threshold), pairs) == pytest.approx(best)


@given(scored(), st.integers(0, 5))
def test_a_pair_that_is_drawn_twice_counts_twice(pairs: PairScores, seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 3, len(pairs.same))
    counts[[np.argmax(pairs.same), np.argmin(pairs.same)]] = 1
    drawn = [np.repeat(of, counts) for of in (pairs.scores, pairs.same, pairs.seen)]

    weighted = average_precision(pairs)(counts[None].astype(float))[0]

    assert weighted == pytest.approx(average_precision_score(drawn[1], drawn[0]))


def test_the_threshold_lies_half_way_to_the_next_score() -> None:
    pairs = PairScores(np.array([0.9, 0.7, 0.1], np.float32), np.array([True, True, False]), np.zeros(3, bool))

    assert best_threshold(pairs) == pytest.approx(0.4)


def test_each_pair_gets_the_score_of_its_own_two_products(
    shop: Dataset, fixed_space: Callable[[Sequence[Sequence[float]]], Any]
) -> None:
    """Right sides in the order in which pairs name them: B3, B1, B0, B2, B4; left sides of test: A1, A2, A3."""
    space = fixed_space([[0, 11, 10, 12, 14], [0, 21, 20, 22, 24], [0, 31, 30, 32, 34]])

    pairs = score_pairs(shop, "test", space)

    assert pairs.scores.tolist() == [11, 22, 24, 30, 10]
    assert pairs.same.tolist() == [True, True, True, False, False]
    assert pairs.seen.tolist() == [False, False, False, True, False]


def test_one_label_alone_is_no_matching(shop: Dataset, fixed_space: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="split 'train': 1 of 1 pairs match, need both kinds"):
        score_pairs(shop, "train", fixed_space([[1.0]]))
