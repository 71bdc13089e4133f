"""What is asked of a system: which products are queries, what is searched, and which answers are right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from model.data.dataset import Dataset, Pair
from producer.events import Product

Counting = Literal["matches", "filtered", "capped"]
"""How recall counts.

``matches``: the share of all matches within the first k, other matches of the query taking places too.
``filtered``: the same, but for each match the other matches are taken out of the list first.
``capped``: by query, the share of min(k, matches) that is within the first k; the mean over queries.
"""

WHOLE = "whole"
"""All splits together, the training split included: to be compared with published figures only."""
PUBLISHED = ("train", "valid", "test")
"""The splits of published work; further pairs of a source are beside them."""


@dataclass(frozen=True, slots=True)
class Query:
    """One search.

    Attributes:
        id: of the product that is searched with.
        right: ids of the right answers, at least one.
        hidden: ids that are taken out of the list: the product itself, and matches that are not asked for.
        seen: whether the product has a match in the training split.
    """

    id: str
    right: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    seen: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """Queries over one list of candidates, by id: what a system may see of the products is no part of it."""

    dataset: str
    protocol: str
    split: str
    language: str
    counting: Counting
    queries: Sequence[Query]
    candidates: Sequence[str]


def two_tables(dataset: Dataset, split: str) -> Task:
    """Search from each product of side A that has a match in the split, over the whole of side B.

    Raises:
        ValueError: the source has no sides, or the split has no match.
    """
    if not dataset.sides:
        raise ValueError(f"{dataset.name} is one catalogue, not two tables: use one_catalogue or cluster_mates")
    right: dict[str, list[str]] = defaultdict(list)
    for pair in _matches(dataset, split):
        first, second = _from_a(dataset, pair)
        right[first].append(second)
    seen = trained_on(dataset)
    queries = [Query(id, tuple(dict.fromkeys(ids)), seen=id in seen) for id, ids in right.items()]
    candidates = [id for id in dataset.products if dataset.sides[id] == "B"]
    return _task(dataset, "two_tables", split, "matches", queries, candidates)


def one_catalogue(dataset: Dataset, split: str, known: Collection[str] = PUBLISHED) -> Task:
    """Search from both sides of each match of the split; the product and its other known matches are not in the list.

    Args:
        dataset: one catalogue.
        split: whose matches are asked for.
        known: the splits whose matches are known.

    Raises:
        ValueError: the split has no match.
    """
    right = _partners(_matches(dataset, split))
    others = _partners(pair for pair in dataset.pairs if pair.same and pair.split in known)
    seen = trained_on(dataset)
    queries = [
        Query(id, tuple(ids), (id, *(other for other in others.get(id, ()) if other not in ids)), id in seen)
        for id, ids in right.items()
    ]
    return _task(dataset, "one_catalogue", split, "filtered", queries, list(dataset.products))


def cluster_mates(dataset: Dataset, split: str) -> Task:
    """Search from the products in matches of the split for all members of their cluster; the product is not in the list.

    Raises:
        ValueError: the source has no clusters, or the split no match.
    """
    if not dataset.clusters:
        raise ValueError(f"{dataset.name} has no clusters: use two_tables or one_catalogue")
    ids = _partners(_matches(dataset, split))
    return _grouped(dataset, "cluster_mates", split, dataset.clusters, ids, list(dataset.products))


def same_attributes(dataset: Dataset, ids: Collection[str], split: str = "test", attribute: str = "colour") -> Task:
    """Among the products ``ids``, search from each for those of the same category and the same attribute.

    Raises:
        ValueError: no two of the products agree.
    """
    kept = [id for id in dataset.products if id in set(ids)]
    kinds = {id: kind for id in kept if (kind := _kind(dataset.products[id], attribute))}
    return _grouped(dataset, "same_attributes", split, kinds, kinds, kept)


def trained_on(dataset: Dataset) -> set[str]:
    """The ids of products that are in a match of the training split."""
    return {id for pair in dataset.pairs if pair.same and pair.split == "train" for id in (pair.left, pair.right)}


def _matches(dataset: Dataset, split: str) -> list[Pair]:
    found = [pair for pair in dataset.pairs if pair.same and split in (pair.split, WHOLE)]
    if not found:
        known = ", ".join(sorted({pair.split for pair in dataset.pairs})) or "no pairs at all"
        raise ValueError(f"{dataset.name} has no match in split {split!r}: it has {known}")
    return found


def _from_a(dataset: Dataset, pair: Pair) -> tuple[str, str]:
    return (pair.left, pair.right) if dataset.sides[pair.left] == "A" else (pair.right, pair.left)


def _partners(pairs: Iterable[Pair]) -> dict[str, dict[str, None]]:
    """The partners by id, in both directions and in the order of the source."""
    partners: dict[str, dict[str, None]] = defaultdict(dict)
    for pair in pairs:
        if pair.left != pair.right:
            partners[pair.left][pair.right] = None
            partners[pair.right][pair.left] = None
    return partners


def _kind(product: Product, attribute: str) -> tuple[str, str] | None:
    value = (product.attributes or {}).get(attribute)
    return (product.category, str(value)) if product.category and value else None


def _grouped(
    dataset: Dataset,
    protocol: str,
    split: str,
    groups: Mapping[str, object],
    ids: Iterable[str],
    candidates: Sequence[str],
) -> Task:
    """The right answers are the other members of the query's group."""
    members: dict[object, list[str]] = defaultdict(list)
    for id in candidates:
        if id in groups:
            members[groups[id]].append(id)
    seen = trained_on(dataset)
    mates = {id: tuple(mate for mate in members[groups[id]] if mate != id) for id in ids if id in groups}
    queries = [Query(id, right, (id,), id in seen) for id, right in mates.items() if right]
    return _task(dataset, protocol, split, "capped", queries, candidates)


def _task(
    dataset: Dataset,
    protocol: str,
    split: str,
    counting: Counting,
    queries: Sequence[Query],
    candidates: Sequence[str],
) -> Task:
    if not queries:
        raise ValueError(f"{dataset.name}, {protocol}, split {split!r}: no query has a right answer")
    return Task(dataset.name, protocol, split, dataset.language, counting, queries, candidates)
