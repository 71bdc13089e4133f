"""Members of groups matched into pairs, and pairs put in an order, as arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indexes = NDArray[np.int64]


def matched(members: Indexes, groups: Indexes, random: np.random.Generator) -> Indexes:
    """Pairs such that each member is in one, at random within its group.

    The odd one out is paired with another member of its group; the only one with itself.

    Args:
        members: [n] distinct numbers.
        groups: [n] the group of each.
        random: the dice.

    Returns:
        [m, 2], group after group.
    """
    order = random.permutation(len(members))
    order = order[np.argsort(groups[order], kind="stable")]
    starts, sizes = _runs(groups[order])
    ranks = np.arange(len(order)) - starts
    firsts = np.flatnonzero(ranks % 2 == 0)
    odd = ranks[firsts] + 1 == sizes[firsts]
    seconds = np.where(odd, starts[firsts], firsts + 1)
    return np.stack([members[order[firsts]], members[order[seconds]]], axis=1)


def counted(groups: Indexes) -> Indexes:
    """How many of the same group come before each, [n]."""
    order = np.argsort(groups, kind="stable")
    starts, _ = _runs(groups[order])
    result = np.empty(len(groups), np.int64)
    result[order] = np.arange(len(groups)) - starts
    return result


def neighbouring(groups: Indexes, random: np.random.Generator) -> Indexes:
    """A random order in which those of one group are neighbours, [n]."""
    names, places = np.unique(groups, return_inverse=True)
    return np.argsort(random.permutation(len(names))[places], kind="stable")


def _runs(ordered: Indexes) -> tuple[Indexes, Indexes]:
    """Of each place in sorted numbers: where its run of equal ones starts, and how long it is."""
    _, starts, places, sizes = np.unique(ordered, return_index=True, return_inverse=True, return_counts=True)
    return starts[places], sizes[places]
