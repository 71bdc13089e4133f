"""The lists that negatives are mined from, as the consumer's own neighbour graph makes them. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from consumer.exact import ExactIndex
from consumer.export import read_export
from consumer.hnsw import HnswIndex
from consumer.metric import placed
from consumer.neighbours import NeighbourGraph
from consumer.sites import EMPTY
from consumer.types import Metric
from model.losses.mining import Lists

BATCH = 512
"""Products that join the graph at once."""
EXACT_BELOW = 2048
"""Up to so many products all are compared with all."""


def lists_of_export(file: Path, k: int) -> Lists:
    """The lists of an export (``kinstream dump``), by the metric of its generation; products not on offer are listed too.

    Raises:
        KinstreamError: the file is not an export.
        ValueError: a k below 1.
    """
    export = read_export(file)
    return lists_of(export.ids, export.vectors, k, export.generation.metric)


def lists_of(ids: Sequence[str], vectors: NDArray[np.floating], k: int, metric: Metric = "cosine") -> Lists:
    """The k nearest of each of vectors [n, dim], by the index and the graph that serve.

    Raises:
        ValueError: a k below 1, a number of ids that differs, equal ids, or a vector that has no place.
    """
    _check(ids, vectors, k, metric)
    slots = np.arange(len(ids), dtype=np.int32)
    dim = vectors.shape[1]
    index = ExactIndex(dim) if len(ids) < EXACT_BELOW else HnswIndex(dim)
    graph = NeighbourGraph(index, dim, k, 2 * k, ids.__getitem__, metric)
    for start in range(0, len(ids), BATCH):
        joining = slots[start : start + BATCH]
        graph.apply(EMPTY, EMPTY, joining, joining, placed(metric, vectors[joining]))
    near, scores = graph.best(slots)
    return Lists(ids, near, 1 - scores if metric == "cosine" else -scores)


def _check(ids: Sequence[str], vectors: NDArray[np.floating], k: int, metric: Metric) -> None:
    if k < 1:
        raise ValueError(f"k is {k}, must be at least 1: ask for more neighbours than negatives")
    if vectors.ndim != 2 or len(vectors) != len(ids):
        raise ValueError(f"vectors is {list(vectors.shape)}, there are {len(ids)} ids: give a vector for each")
    if len(set(ids)) != len(ids):
        raise ValueError(f"ids has {len(ids) - len(set(ids))} repeated ones: name each product once")
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    bad = np.flatnonzero(~np.isfinite(lengths) | ((lengths == 0) & (metric == "cosine")))
    if len(bad):
        raise ValueError(f"vectors has no direction or is not finite for {ids[bad[0]]!r}: leave such products out")
