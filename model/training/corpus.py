"""The sources of a configuration, read, cleaned and grouped."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from model.data.cleaning import clean
from model.data.dataset import Dataset
from model.data.errors import DataError
from model.data.fields import value_of
from model.data.groups import pairs_of
from model.data.image_files import ImageFiles
from model.data.items import Item, Items, items_of
from model.data.mappings import SOURCES
from model.data.readers import read_named, read_own
from model.data.splits import held_out
from model.training.config import Source, TrainConfig

HELD_OUT = ("valid", "test", "test_rl", "test_cfm", "test_om")
"""Splits whose products are not learnt from."""


class Corpus:
    """What a training learns from, by source, and what decides which checkpoint is best.

    Attributes:
        parts: the items of each source of the configuration, in its order.
        validation: the data sets to validate on.
        images: those of each source that has any, by its name.
    """

    def __init__(self, parts: Sequence[Items], validation: Sequence[Dataset], images: Mapping[str, ImageFiles]) -> None:
        self.parts = parts
        self.validation = validation
        self.images = images

    def image(self, item: Item) -> bytes | None:
        """The image of an item, if its source has any and the product names one.

        Raises:
            DataError: it names one that cannot be read.
        """
        files = self.images.get(item.source)
        return files.read(item.product.image) if files is not None and item.product.image else None

    def items(self) -> list[Item]:
        """All items, for what is fitted before the training."""
        return [item for part in self.parts for item in part.items]


def read(config: TrainConfig, root: Path) -> Corpus:
    """Read what a configuration names, under the folder of data sets.

    Raises:
        DataError: a set is not there or damaged.
        ProducerError: a file cannot be read.
    """
    learnt = [_cleaned(_remaining(root, source)) for source in config.sources]
    sets = {found.name: found for found in learnt}
    sets |= {name: _cleaned(read_named(root, name)) for name in config.validation if name not in sets}
    images = {name: ImageFiles(found.images) for name, found in sets.items() if found.images is not None}
    parts: list[Items] = []
    for found, source in zip(learnt, config.sources, strict=True):
        parts.append(_items(found, source, sum(len(part.items) for part in parts)))
    return Corpus(parts, [sets[name] for name in config.validation], images)


def read_source(root: Path, source: Source) -> Dataset:
    """The data set of a source.

    Raises:
        DataError: it is not there or damaged, or the source names neither a set nor files.
        ProducerError: a file cannot be read.
    """
    if not source.products:
        return read_named(root, source.name)
    if source.style not in SOURCES:
        raise DataError(f"style={source.style!r} is not known: choose one of {', '.join(SOURCES)}")
    return read_own(
        root / source.products,
        root / source.pairs if source.pairs else None,
        root / source.clusters if source.clusters else None,
        source=SOURCES[source.style],
        mapping=source.mapping,
        images=root / source.images if source.images else None,
        language=source.language,
    )


def _remaining(root: Path, source: Source) -> Dataset:
    """The data set of a source, without the products of others that it may not know."""
    found = read_source(root, source)
    hidden = {id for name in source.without for id in read_named(root, name).products}
    return dataclasses.replace(
        found,
        products={id: product for id, product in found.products.items() if id not in hidden},
        pairs=[pair for pair in found.pairs if pair.left not in hidden and pair.right not in hidden],
        clusters={id: cluster for id, cluster in found.clusters.items() if id not in hidden},
    )


def _cleaned(dataset: Dataset) -> Dataset:
    return dataclasses.replace(
        dataset, products={id: clean(product, keep_repeats=True) for id, product in dataset.products.items()}
    )


def _items(dataset: Dataset, source: Source, first_group: int) -> Items:
    """Those of a source that may be learnt from; groups are numbered from ``first_group`` on."""
    held = tuple(split for split in HELD_OUT if split not in source.splits)
    found = _grouped(items_of([dataset], source.splits, held), source.group_by)
    sizes = Counter(found.groups)
    tested = _tested_groups(dataset, found, held) if source.apart else set()
    hidden = held_out(dataset, source.hold_out)
    kept = [
        at
        for at, (item, group) in enumerate(zip(found.items, found.groups, strict=True))
        if (source.views or sizes[group] > 1) and group not in tested and item.product.id not in hidden
    ]
    keys = {found.items[at].key for at in kept}
    negatives = {key: [other for other in found.negatives.get(key, ()) if other in keys] for key in keys}
    return Items([found.items[at] for at in kept], [first_group + found.groups[at] for at in kept], negatives)


def _grouped(found: Items, fields: Sequence[str]) -> Items:
    """With the groups that fields tell; a product that lacks one of the fields has a group of its own."""
    if not fields:
        return found
    values = [tuple(value_of(item.product, field) for field in fields) for item in found.items]
    names = [of if all(of) else item.key for of, item in zip(values, found.items, strict=True)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return dataclasses.replace(found, groups=[numbers[name] for name in names])


def _tested_groups(dataset: Dataset, found: Items, held: Sequence[str]) -> set[int]:
    """Groups with a product of a held out match: without it they would still tell what the match asks."""
    asked = {id for pair in pairs_of(dataset, held) if pair.same for id in (pair.left, pair.right)}
    return {group for item, group in zip(found.items, found.groups, strict=True) if item.product.id in asked}
