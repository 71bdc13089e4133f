"""Which products are the same: the groups that known matches and clusters join."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from model.data.dataset import Dataset, Pair

Edge = tuple[str, str]


def groups_of(dataset: Dataset, splits: Collection[str] | None) -> dict[str, int]:
    """The group of every product, by what these splits tell: same number, same product.

    A match joins its two products. A cluster joins those of its products that occur in any pair of these splits, since
    the clusters of the others are what a test asks for; with no pairs at all, or with None for the splits, it joins all.
    A product that nothing joins has a group of its own. Numbers count up in the order of the products.

    Args:
        dataset: products, pairs and clusters.
        splits: the splits whose pairs may be used, such as ``("train",)``; None for all, to split by group.
    """
    pairs = pairs_of(dataset, splits)
    known = products_of(pairs) if splits is not None and dataset.pairs else dataset.products
    matches = ((pair.left, pair.right) for pair in pairs if pair.same)
    roots = joined(dataset.products, [*matches, *_cluster_edges(dataset.clusters, known)])
    numbers: dict[str, int] = {}
    return {id: numbers.setdefault(root, len(numbers)) for id, root in roots.items()}


def conflicts(dataset: Dataset, groups: Mapping[str, int], splits: Collection[str] | None) -> list[Pair]:
    """The pairs of these splits that are labelled as different while their products are in one group."""
    pairs = pairs_of(dataset, splits)
    return [pair for pair in pairs if not pair.same and groups[pair.left] == groups[pair.right]]


def pairs_of(dataset: Dataset, splits: Collection[str] | None) -> list[Pair]:
    """The pairs of these splits; of all for None."""
    return [pair for pair in dataset.pairs if splits is None or pair.split in splits]


def products_of(pairs: Iterable[Pair]) -> set[str]:
    """The ids that pairs name."""
    return {id for pair in pairs for id in (pair.left, pair.right)}


def joined(ids: Iterable[str], edges: Iterable[Edge]) -> dict[str, str]:
    """The representative of each id under the edges, whose ends are among the ids.

    Union by size with path halving; the edges' order changes who represents, not who is together.
    """
    parents = {id: id for id in ids}
    sizes = dict.fromkeys(parents, 1)
    for left, right in edges:
        small, large = sorted((_root(parents, left), _root(parents, right)), key=sizes.__getitem__)
        if small != large:
            parents[small] = large
            sizes[large] += sizes[small]
    return {id: _root(parents, id) for id in parents}


def _root(parents: dict[str, str], id: str) -> str:
    while parents[id] != id:
        parents[id] = parents[parents[id]]
        id = parents[id]
    return id


def _cluster_edges(clusters: Mapping[str, str], known: Collection[str]) -> list[Edge]:
    """Each known member with the first of its cluster."""
    heads: dict[str, str] = {}
    return [(heads.setdefault(cluster, id), id) for id, cluster in clusters.items() if id in known]
