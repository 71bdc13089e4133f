"""Splits without leakage, and what leaks in the splits that a source brings."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from model.data.dataset import Dataset, Pair
from model.data.errors import DataError
from model.data.groups import groups_of, pairs_of, products_of

TRAIN = ("train",)
HELD_OUT_SEED = 1


@dataclass(frozen=True, slots=True)
class Leak:
    """What training sees of one other split.

    Attributes:
        pairs: pairs of the split.
        repeated: of these, the very same two products are a pair of train too.
        both: both products occur in a pair of train.
        one: one of them does.
        matched: at least one of them occurs in a *match* of train.
        clustered: neither occurs in train, but the cluster of one does.
    """

    pairs: int
    repeated: int
    both: int
    one: int
    matched: int
    clustered: int

    @property
    def unseen(self) -> int:
        """Pairs of which train knows neither product nor cluster."""
        return self.pairs - self.both - self.one - self.clustered


def split_by_group(dataset: Dataset, fractions: Mapping[str, float], seed: int) -> dict[str, str]:
    """The split of every product, such that no match and no cluster is cut.

    Groups in a random order go, each whole, to the split that is furthest behind its fraction: each split is within
    one group of it.

    Args:
        dataset: all its matches and clusters count.
        fractions: of the products by split; they sum to 1.
        seed: of the order, which else depends on the ids alone.

    Raises:
        DataError: the fractions are no fractions.
    """
    if not fractions or min(fractions.values()) < 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise DataError(f"fractions={dict(fractions)} do not sum to 1: give each split a share of the products")
    members: dict[int, list[str]] = {}
    for id, group in groups_of(dataset, None).items():
        members.setdefault(group, []).append(id)
    filled: Counter[str] = Counter()
    result: dict[str, str] = {}
    for ids in sorted(members.values(), key=lambda ids: _rank(min(ids), seed)):
        split = max(fractions, key=lambda name: fractions[name] * (len(result) + len(ids)) - filled[name])
        filled[split] += len(ids)
        result |= dict.fromkeys(ids, split)
    return result


def held_out(dataset: Dataset, share: float) -> set[str]:
    """The products that are kept for a test, of a set whose pairs do not say so: always the same ones for a share."""
    if not share:
        return set()
    split_of = split_by_group(dataset, {"train": 1 - share, "test": share}, HELD_OUT_SEED)
    return {id for id, split in split_of.items() if split == "test"}


def with_splits(dataset: Dataset, split_of: Mapping[str, str]) -> Dataset:
    """The data set with its pairs in these splits; pairs whose products are in two splits are left out."""
    inside = (pair for pair in dataset.pairs if split_of[pair.left] == split_of[pair.right])
    return replace(dataset, pairs=[replace(pair, split=split_of[pair.left]) for pair in inside])


def leaks(dataset: Dataset, train: Collection[str] = TRAIN) -> dict[str, Leak]:
    """What training on these splits sees of each other split."""
    known = _Known.of(dataset, train)
    others = {pair.split: None for pair in dataset.pairs if pair.split not in train}
    return {split: known.leak(pairs_of(dataset, (split,))) for split in others}


def parted(dataset: Dataset, split: str, train: Collection[str] = TRAIN) -> tuple[list[Pair], list[Pair]]:
    """The pairs of a split as (seen, unseen): unseen are those of which train knows neither product nor cluster."""
    known = _Known.of(dataset, train)
    pairs = pairs_of(dataset, (split,))
    return [pair for pair in pairs if known.sees(pair)], [pair for pair in pairs if not known.sees(pair)]


def leaked_products(dataset: Dataset, split: str, train: Collection[str] = TRAIN) -> set[str]:
    """The products of a split that occur in a pair of train."""
    return products_of(pairs_of(dataset, (split,))) & products_of(pairs_of(dataset, train))


@dataclass(frozen=True, slots=True)
class _Known:
    """What train knows."""

    clusters: Mapping[str, str]
    pairs: set[frozenset[str]]
    products: set[str]
    matched: set[str]
    seen_clusters: set[str]

    @classmethod
    def of(cls, dataset: Dataset, train: Collection[str]) -> _Known:
        pairs = pairs_of(dataset, train)
        products = products_of(pairs)
        return cls(
            clusters=dataset.clusters,
            pairs={frozenset((pair.left, pair.right)) for pair in pairs},
            products=products,
            matched=products_of(pair for pair in pairs if pair.same),
            seen_clusters={dataset.clusters[id] for id in products if id in dataset.clusters},
        )

    def leak(self, pairs: list[Pair]) -> Leak:
        sides = Counter(self._sides(pair) for pair in pairs)
        return Leak(
            pairs=len(pairs),
            repeated=sum(frozenset((pair.left, pair.right)) in self.pairs for pair in pairs),
            both=sides[2],
            one=sides[1],
            matched=sum(pair.left in self.matched or pair.right in self.matched for pair in pairs),
            clustered=sum(self._sides(pair) == 0 and self.sees(pair) for pair in pairs),
        )

    def sees(self, pair: Pair) -> bool:
        return any(self._knows(id) for id in (pair.left, pair.right))

    def _sides(self, pair: Pair) -> int:
        return (pair.left in self.products) + (pair.right in self.products)

    def _knows(self, id: str) -> bool:
        return id in self.products or self.clusters.get(id) in self.seen_clusters


def _rank(id: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {id}".encode(), digest_size=16).digest()
