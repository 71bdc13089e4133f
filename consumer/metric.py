"""The two metrics. Inside, both are squared Euclidean distances: over unit vectors these rank as cosine similarity does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumer.types import Metric, Vectors

SHORTEST, LONGEST = 1e-15, 1e15
"""Lengths of vectors that may be placed: squared distances are float32 then."""


def placed(metric: Metric, vectors: NDArray[Any]) -> Vectors:
    """Vectors [n, dim] as they are put into the graph: of unit length for ``cosine``, as they are for ``euclidean``."""
    if metric == "euclidean":
        return vectors.astype(np.float32)
    exact = vectors.astype(np.float64)
    unit: Vectors = (exact / np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float32)
    return unit


def exact_scores(metric: Metric, queries: Vectors, vectors: Vectors) -> NDArray[Any]:
    """Scores [n, m] of queries [n, dim] and vectors [m, dim]; squares of long vectors cancel out, so in double precision."""
    if metric == "cosine":
        cosines: NDArray[np.float32] = queries @ vectors.T
        return cosines
    exact, others = queries.astype(np.float64), vectors.astype(np.float64)
    squared = (exact**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * (exact @ others.T)
    distances: NDArray[np.float64] = np.sqrt(np.maximum(squared, 0))
    return -distances


def scores(metric: Metric, squared: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of squared distances, the higher the nearer: cosine similarity, or the negated Euclidean distance."""
    if metric == "euclidean":
        return -np.sqrt(squared)
    return np.float32(1) - squared / np.float32(2)
