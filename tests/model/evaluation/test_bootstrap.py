"""Intervals against the formulas of large samples, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from model.evaluation.bootstrap import Weights, difference, estimate, ratio


def test_the_interval_of_a_share_is_that_of_the_binomial() -> None:
    hits = (np.arange(400) < 320).astype(float)

    found = estimate(ratio(hits, np.ones(400)), 400, seed=1)

    wide = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert found.value == 0.8
    assert (found.low, found.high) == (pytest.approx(0.8 - wide, abs=0.006), pytest.approx(0.8 + wide, abs=0.006))


def test_the_seed_alone_decides() -> None:
    share = ratio(np.arange(50.0), np.full(50, 50.0))

    assert estimate(share, 50, seed=3) == estimate(share, 50, seed=3)
    assert estimate(share, 50, seed=3) != estimate(share, 50, seed=4)


def test_each_resample_draws_as_many_queries_as_there_are() -> None:
    drawn: list[Weights] = []

    estimate(lambda weights: drawn.append(weights) or weights[:, 0], 7, resamples=250)

    resamples = np.concatenate(drawn[1:])
    assert resamples.shape == (250, 7)
    assert (resamples.sum(axis=1) == 7).all()
    assert len(np.unique(resamples, axis=0)) > 200


def test_matches_of_one_query_are_drawn_together() -> None:
    """Two matches each, both found or both missed: half the queries of independent matches, so a wider interval."""
    together = estimate(ratio(np.array([2.0, 0.0] * 50), np.full(100, 2.0)), 100)
    apart = estimate(ratio(np.array([1.0, 0.0] * 100), np.ones(200)), 200)

    assert together.high - together.low > 1.25 * (apart.high - apart.low)


def test_a_paired_difference_sees_what_two_intervals_hide() -> None:
    first = np.array([1.0] * 60 + [0.0] * 40)
    second = first.copy()
    second[:8] = 0

    apart = [estimate(ratio(hits, np.ones(100)), 100) for hits in (first, second)]
    paired = difference(ratio(first, np.ones(100)), ratio(second, np.ones(100)), 100)

    assert apart[0].low < apart[1].high
    assert paired.value == pytest.approx(0.08)
    assert paired.low > 0


def test_nothing_has_no_interval() -> None:
    with pytest.raises(ValueError, match="nothing to estimate"):
        estimate(ratio(np.empty(0), np.empty(0)), 0)
