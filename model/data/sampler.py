"""Batches of pairs to learn from: two members of a group, or two views of one product, and hard negatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from model.data.errors import DataError
from model.data.items import Item
from model.data.matching import Indexes, counted, matched, neighbouring

NONE = -1
"""Stands for no negative."""
SHOWN = 5
"""So many unknown keys are named in an error."""


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Positions among the items, all int64 [n].

    Attributes:
        epoch: counts from 0.
        step: within the epoch, counts from 0.
        anchors: one side of each pair.
        positives: the other side; the same position where a group has one member: take two views of it.
        negatives: an item of another group that is hard to tell from the anchor; ``NONE`` where none is known.
    """

    epoch: int
    step: int
    anchors: Indexes
    positives: Indexes
    negatives: Indexes


class PairBatches:
    """Epochs of batches; what a batch holds depends on (items, seed, epoch, step) alone, so training resumes at any step.

    In an epoch every item is in one pair: the members of a group are matched at random, and an odd one out with another
    member. Pairs are dealt to the batches so that a batch has one pair of a group at most; pairs of a group that is
    larger than there are batches are left out in that epoch. Sizes of batches differ by one at most, but for that.
    """

    def __init__(
        self,
        items: Sequence[Item],
        groups: Sequence[int],
        batch: int,
        seed: int,
        negatives: Mapping[str, Sequence[str]] | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        repeat_groups: bool = False,
    ) -> None:
        """Take what batches are drawn from.

        Args:
            items: the products.
            groups: [n] the group of each item.
            batch: pairs in a batch.
            seed: of all choices.
            negatives: by key of an item the keys of hard negatives; those of its own group are passed over.
            weights: share of the pairs of each source, any positive numbers; None leaves each as many as it has. A
                source with a greater share is gone through more than once in an epoch. The length of an epoch stays.
            repeat_groups: allow pairs of one group in a batch.

        Raises:
            DataError: no items, lengths that differ, a batch below 1, or an unknown key or source.
        """
        _check(items, groups, batch)
        self._batch = batch
        self._seed = seed
        self._repeat_groups = repeat_groups
        self._groups = np.asarray(groups, np.int64)
        self._sources = _by_source(items)
        self._quotas = _quotas(self._sources, self._groups, weights)
        self._hard = _hard_negatives(items, self._groups, negatives or {})

    def __len__(self) -> int:
        """Batches in an epoch."""
        return ceil(sum(self._quotas.values()) / self._batch)

    def epoch(self, number: int, start: int = 0) -> Iterator[PairBatch]:
        """The batches of an epoch from a step on; those before are not drawn."""
        order = self.generator(number)
        pairs = self._dealt(self._drawn(order), order)
        for step in range(start, len(self)):
            yield self._filled(number, step, pairs[step])

    def generator(self, epoch: int, step: int | None = None, purpose: int = 0) -> np.random.Generator:
        """The dice of an epoch, or of one of its steps; of another purpose, such as views, they are independent."""
        return np.random.default_rng([self._seed, purpose, epoch, 0 if step is None else step + 1])

    def _drawn(self, random: np.random.Generator) -> Indexes:
        """The pairs of an epoch, [m, 2], in no order."""
        return np.concatenate([self._of_source(name, quota, random) for name, quota in self._quotas.items()])

    def _of_source(self, name: str, quota: int, random: np.random.Generator) -> Indexes:
        members = self._sources[name]
        passes: list[Indexes] = []
        while sum(map(len, passes)) < quota:
            passes.append(random.permutation(matched(members, self._groups[members], random)))
        return np.concatenate([*passes, np.empty((0, 2), np.int64)])[:quota]

    def _dealt(self, pairs: Indexes, random: np.random.Generator) -> list[Indexes]:
        """The pairs of each batch: those of a group are neighbours in the order, and so go to different batches."""
        groups = self._groups[pairs[:, 0]]
        if self._repeat_groups:
            order = random.permutation(len(pairs))
        else:
            pairs = pairs[counted(groups) < len(self)]
            groups = self._groups[pairs[:, 0]]
            order = neighbouring(groups, random)
        batches = [pairs[order[step :: len(self)]] for step in range(len(self))]
        return [batches[step] for step in random.permutation(len(self))]

    def _filled(self, epoch: int, step: int, pairs: Indexes) -> PairBatch:
        random = self.generator(epoch, step)
        sides = random.permuted(random.permutation(pairs), axis=1)
        negatives = [self._negative(int(anchor), random) for anchor in sides[:, 0]]
        return PairBatch(epoch, step, sides[:, 0], sides[:, 1], np.array(negatives, np.int64))

    def _negative(self, anchor: int, random: np.random.Generator) -> int:
        hard = self._hard.get(anchor)
        return NONE if hard is None else int(hard[random.integers(len(hard))])


def _check(items: Sequence[Item], groups: Sequence[int], batch: int) -> None:
    if not items or len(items) != len(groups):
        raise DataError(f"{len(items)} items with {len(groups)} groups: give each item one, and at least one item")
    if batch < 1:
        raise DataError(f"batch={batch} is below 1: ask for at least one pair")


def _by_source(items: Sequence[Item]) -> dict[str, Indexes]:
    names = np.array([item.source for item in items])
    return {str(name): np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}


def _quotas(sources: Mapping[str, Indexes], groups: Indexes, weights: Mapping[str, float] | None) -> dict[str, int]:
    """Pairs of each source in an epoch."""
    natural = {
        name: int(np.sum((np.unique(groups[at], return_counts=True)[1] + 1) // 2)) for name, at in sources.items()
    }
    if weights is None:
        return natural
    if set(weights) != set(sources) or min(weights.values()) <= 0:
        raise DataError(f"weights={dict(weights)} do not fit: give each of {', '.join(sources)} a positive number")
    total, whole = sum(natural.values()), sum(weights.values())
    return {name: max(1, round(total * weights[name] / whole)) for name in sources}


def _hard_negatives(
    items: Sequence[Item], groups: Indexes, negatives: Mapping[str, Sequence[str]]
) -> dict[int, Indexes]:
    """Positions of the hard negatives by position of the anchor, without those of its group."""
    places = {item.key: at for at, item in enumerate(items)}
    unknown = {key for keys in (negatives, *negatives.values()) for key in keys if key not in places}
    if unknown:
        named = ", ".join(sorted(unknown)[:SHOWN])
        raise DataError(f"negatives name {len(unknown)} unknown items such as {named}: give keys of the items")
    found = {places[key]: np.array([places[other] for other in others], np.int64) for key, others in negatives.items()}
    apart = {at: others[groups[others] != groups[at]] for at, others in found.items()}
    return {at: others for at, others in apart.items() if len(others)}
