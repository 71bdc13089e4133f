"""What training draws from: products of one or more sources, their groups, and what they are not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from model.data.dataset import Dataset
from model.data.errors import DataError
from model.data.groups import groups_of, pairs_of, products_of
from producer.product import Product


@dataclass(frozen=True, slots=True)
class Item:
    """A product of a source; ids of two sources may be equal, their keys are not."""

    source: str
    product: Product

    @property
    def key(self) -> str:
        """Names it among all items."""
        return key_of(self.source, self.product.id)


@dataclass(frozen=True, slots=True)
class Items:
    """All there is to draw.

    Attributes:
        items: the products.
        groups: [n] the group of each; same number, same product.
        negatives: keys of labelled non-matches by key.
    """

    items: Sequence[Item]
    groups: Sequence[int]
    negatives: Mapping[str, Sequence[str]] = field(default_factory=dict)


def key_of(source: str, id: str) -> str:
    """The key of a source's product."""
    return f"{source}/{id}"


def items_of(datasets: Sequence[Dataset], splits: Collection[str], without: Collection[str] = ()) -> Items:
    """The items of several sources, grouped by what these splits tell.

    Args:
        datasets: sources of different names.
        splits: whose pairs are known, such as ``("train",)``.
        without: splits whose products are left out, unless they are in one of ``splits`` too: they may be unlabelled
            matches of others. A product that no pair names stays.

    Raises:
        DataError: two sources have one name.
    """
    if len({dataset.name for dataset in datasets}) < len(datasets):
        raise DataError(f"sources {[dataset.name for dataset in datasets]} repeat a name: give each its own")
    items: list[Item] = []
    groups: list[int] = []
    negatives: dict[str, list[str]] = {}
    for dataset in datasets:
        start = max(groups, default=-1) + 1
        hidden = products_of(pairs_of(dataset, without)) - products_of(pairs_of(dataset, splits))
        kept = {id: group for id, group in groups_of(dataset, splits).items() if id not in hidden}
        items += [Item(dataset.name, dataset.products[id]) for id in kept]
        groups += [start + group for group in kept.values()]
        negatives |= labelled_negatives(dataset, splits)
    return Items(items, groups, negatives)


def labelled_negatives(dataset: Dataset, splits: Collection[str]) -> dict[str, list[str]]:
    """Keys of the products that pairs of these splits tell apart from each product, both ways."""
    result: dict[str, list[str]] = {}
    for pair in pairs_of(dataset, splits):
        if not pair.same:
            left, right = key_of(dataset.name, pair.left), key_of(dataset.name, pair.right)
            result.setdefault(left, []).append(right)
            result.setdefault(right, []).append(left)
    return result
