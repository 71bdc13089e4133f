"""Splitting texts of different lengths into runs of the encoder, so that short ones do not pay for long ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


def by_length(lengths: Sequence[int], max_rows: int, max_padded: int) -> Iterator[Ids]:
    """Rows of each run: sorted by length, at most ``max_rows`` rows and ``max_padded`` tokens after padding.

    A text longer than ``max_padded`` runs alone. Every row comes exactly once.
    """
    order = np.argsort(np.asarray(lengths, np.int64), kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or not _fits(lengths[order[end]], end + 1 - start, max_rows, max_padded):
            yield order[start:end]
            start = end


def _fits(longest: int, rows: int, max_rows: int, max_padded: int) -> bool:
    return rows <= max_rows and rows * longest <= max_padded


def padded(tokens: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
    """Token ids and attention mask, each int64 [rows, longest]; the padding is masked, so its id (0) does not matter."""
    longest = max(map(len, tokens))
    ids = np.zeros((len(tokens), longest), np.int64)
    mask = np.zeros((len(tokens), longest), np.int64)
    for row, token in enumerate(tokens):
        ids[row, : len(token)] = token
        mask[row, : len(token)] = 1
    return ids, mask
