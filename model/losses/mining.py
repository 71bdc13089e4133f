"""Hard negatives: the nearest products that are known to be others. Needs no torch.

Source of the idea: Xiong et al., "Approximate Nearest Neighbor Negative Contrastive Learning" (2021), with lists in place of
their index; of the margin: Moreira et al., "NV-Retriever" (2024): what is too near is likely an unknown match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Lists:
    """Nearest products of each product.

    Attributes:
        ids: of the products, by row.
        near: rows of the nearest, nearest first, int32 [n, k], padded with -1; a product is not in its own list.
        distances: [n, k], 1 - cosine or Euclidean, by the metric that they were made with; what pads is not read.
    """

    ids: Sequence[str]
    near: NDArray[np.int32]
    distances: NDArray[np.floating]

    def __post_init__(self) -> None:
        shape = (len(self.ids), *self.near.shape[1:])
        if self.near.ndim != 2 or self.near.shape != shape or self.distances.shape != shape:
            raise ValueError(
                f"near is {list(self.near.shape)}, distances is {list(self.distances.shape)}, there are {len(self.ids)} ids: "
                "give both as [ids, k]"
            )
        stray = self.near[(self.near < -1) | (self.near >= len(self.ids))]
        if len(stray):
            raise ValueError(f"near names row {stray[0]} of {len(self.ids)} ids: name rows of ids, or -1")


def hard_negatives(
    lists: Lists, groups: Mapping[str, int], count: int, false_negative_margin: float = 0.0
) -> dict[str, tuple[str, ...]]:
    """For each product its nearest products of other groups, nearest first.

    A live index holds more than the training data: products without a group get no negatives and are none.

    Args:
        lists: ask for more than ``count`` neighbours when they are made, since members of the own group are dropped.
        groups: by id; equal means the same product.
        count: negatives of one product at most.
        false_negative_margin: what is nearer than that is left out, as a likely match that nobody labelled; in the unit of
            ``lists.distances``.

    Returns:
        By id of every product that has a list and a group; empty where no negative is left.

    Raises:
        ValueError: a count below 1, a margin below 0, or lists of which no product has a group.
    """
    if count < 1:
        raise ValueError(f"count is {count}, must be at least 1: leave the negatives out otherwise")
    if not false_negative_margin >= 0:
        raise ValueError(f"false_negative_margin is {false_negative_margin}, must be at least 0: 0 keeps all")
    known = np.array([identity in groups for identity in lists.ids], np.bool_)
    if not known.any():
        raise ValueError(
            f"groups has none of the {len(lists.ids)} ids of lists: make lists and groups of one catalogue"
        )
    group = np.array([groups.get(identity, 0) for identity in lists.ids], np.int64)
    usable = (lists.near >= 0) & known[lists.near] & (group[lists.near] != group[:, None])
    usable &= lists.distances >= false_negative_margin
    return {lists.ids[row]: _first(lists, row, usable[row], count) for row in np.flatnonzero(known).tolist()}


def _first(lists: Lists, row: int, usable: NDArray[np.bool_], count: int) -> tuple[str, ...]:
    return tuple(lists.ids[near] for near in lists.near[row][usable][:count].tolist())
