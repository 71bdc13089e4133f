"""Recall against the exact answer, and memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from churn import Slots, Vectors

TIE = np.float32(1e-5)
"""Similarities this close count as equal: float32 sums in another order differ in the seventh digit."""
CELLS = 16_000_000
"""Similarities computed at once."""


def list_recall(vectors: Vectors, live: Slots, sample: Slots, near: Slots) -> float:
    """Share of right entries of the lists near [n, k] of the slots sample [n], which are no entries of their own lists.

    Args:
        vectors: [cap, dim], a row for each slot.
        live: [m] all slots that live.
        sample: [n] some of them.
        near: [n, k] padded with -1.
    """
    return _recall(vectors, live, vectors[sample], near, sample)


def query_recall(vectors: Vectors, live: Slots, queries: Vectors, found: Slots) -> float:
    """Share of right entries of the answers found [n, k] to queries [n, dim]."""
    return _recall(vectors, live, queries, found, None)


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def noisy(vectors: Vectors, noise: float, seed: int) -> Vectors:
    """Unit vectors [n, dim] in the neighbourhood of vectors [n, dim]."""
    random = np.random.default_rng(seed)
    moved = vectors + noise / np.sqrt(vectors.shape[1]) * random.standard_normal(vectors.shape, np.float32)
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)


def _recall(vectors: Vectors, live: Slots, queries: Vectors, found: Slots, own: Slots | None) -> float:
    k = found.shape[1]
    wanted = min(k, len(live) - (own is not None))
    if wanted <= 0 or not len(queries):
        return 1.0
    right, block = 0, max(1, CELLS // len(live))
    living, alive = vectors[live], np.zeros(len(vectors), np.bool_)
    alive[live] = True
    for start in range(0, len(queries), block):
        part, names = queries[start : start + block], found[start : start + block]
        exact = part @ living.T
        if own is not None:
            exact[live[None] == own[start : start + block, None]] = -np.inf
        least = np.partition(exact, -wanted, axis=1)[:, -wanted]
        counted = _distinct(names) & alive[names]
        if own is not None:
            counted &= names != own[start : start + block, None]
        similarity = np.einsum("nd,nkd->nk", part, vectors[names])
        right += int(np.minimum((counted & (similarity >= least[:, None] - TIE)).sum(axis=1), wanted).sum())
    return right / (len(queries) * wanted)


def _distinct(names: Slots) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Which entries [n, k] are slots, and the first of their kind in their row."""
    order = np.argsort(names, axis=1, kind="stable")
    ranked = np.take_along_axis(names, order, axis=1)
    first = np.ones(names.shape, np.bool_)
    first[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    distinct = np.empty_like(first)
    np.put_along_axis(distinct, order, first & (ranked >= 0), axis=1)
    return distinct
