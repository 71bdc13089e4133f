"""Two-sided 95 % percentile intervals by resampling queries.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
Values = NDArray[np.float64]

Statistic = Callable[[Weights], Values]
"""A figure: weights [samples, n], how often each query counts, to values [samples]."""

RESAMPLES = 2000
TAILS = (2.5, 97.5)
CHUNK = 100
"""Resamples at a time: with 25,000 queries the weights have 20 MB."""


class Estimate(msgspec.Struct, frozen=True):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


def ratio(top: Values, bottom: Values) -> Statistic:
    """Sum of top [n] over sum of bottom [n]; zero where the bottom is zero."""

    def quotient(weights: Weights) -> Values:
        below = weights @ bottom
        return np.divide(weights @ top, below, out=np.zeros_like(below), where=below > 0)

    return quotient


def estimate(statistic: Statistic, number: int, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """The figure over ``number`` queries, and its interval.

    Raises:
        ValueError: there is nothing to resample.
    """
    if number == 0:
        raise ValueError("no queries: there is nothing to estimate")
    value = float(statistic(np.ones((1, number)))[0])
    random = np.random.default_rng(seed)
    drawn = [statistic(_weights(random, number, size)) for size in _chunks(resamples)]
    low, high = np.percentile(np.concatenate(drawn), TAILS)
    return Estimate(value, float(low), float(high))


def difference(first: Statistic, second: Statistic, number: int, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """First minus second, both over the same ``number`` queries and in each resample over the same ones."""
    return estimate(lambda weights: first(weights) - second(weights), number, seed, resamples)


def _weights(random: np.random.Generator, number: int, size: int) -> Weights:
    """How often each query is drawn, float64 [size, number]."""
    drawn = random.integers(number, size=(size, number)) + number * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * number).reshape(size, number).astype(np.float64)


def _chunks(resamples: int) -> list[int]:
    whole, rest = divmod(resamples, CHUNK)
    return [CHUNK] * whole + [rest] * (rest > 0)
