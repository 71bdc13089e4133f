"""Products, pairs and clusters from files: JSON Lines, a JSON array, CSV or TSV, each maybe gzipped."""

from __future__ import annotations

import gzip
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from model.data.dataset import Pair
from model.data.errors import DataError
from model.data.mappings import Source
from producer.catalogue import Entry, read_catalogue
from producer.columns import Fields
from producer.product import Product, product_from
from producer.refusals import BadEvent, short
from producer.tables import FLAGS, names_of

SHOWN = 5
"""So many unknown ids are named in an error."""


def read_products(file: Path, source: Source, mapping: Mapping[str, str]) -> dict[str, Product]:
    """Products by id.

    Args:
        file: the file.
        source: the style of its rows.
        mapping: product field -> column, as in ``kinstream publish --map``; done before the source's own mapping.

    Raises:
        DataError: a line is no product, or its id is there already.
        ProducerError: the file cannot be read, or lacks a column.
    """
    products: dict[str, Product] = {}
    for entry in read_catalogue(file, _with_id(file, source, mapping), []):
        try:
            product = product_from(source.fields(entry.fields()), None)
        except BadEvent as bad:
            raise DataError(f"{entry.place}: {bad}") from None
        if product.id in products:
            raise DataError(f"{entry.place}: id={short(product.id)} is there already: give each product one line")
        products[product.id] = product
    if not products:
        raise DataError(f"{file} has no products: name a file with one product a line")
    return products


def read_pairs(file: Path, products: Collection[str], skipped: list[Pair] | None = None) -> list[Pair]:
    """Pairs from the columns ``left_id``, ``right_id``, and maybe ``label``, ``split`` and ``part``.

    Without any label all pairs are matches; without a split a pair is of ``train``.

    Args:
        file: the file.
        products: the known ids.
        skipped: takes up the pairs that name an unknown product; None makes them an error.

    Raises:
        DataError: a line is no pair, or names an unknown product.
        ProducerError: the file cannot be read, or lacks a column.
    """
    entries = list(read_catalogue(file, {"id": "left_id", "other_id": "right_id"}, []))
    labelled = any("label" in _fields(entry) for entry in entries)
    pairs = [_pair(entry, labelled) for entry in entries]
    known = [pair for pair in pairs if pair.left in products and pair.right in products]
    if skipped is None:
        _refuse_unknown(file, (id for pair in pairs for id in (pair.left, pair.right)), products)
    else:
        skipped += [pair for pair in pairs if pair.left not in products or pair.right not in products]
    return known


def read_clusters(file: Path, products: Collection[str]) -> dict[str, str]:
    """Cluster by product, from the columns ``id`` and ``cluster_id``.

    Raises:
        DataError: a line is no such row, or names an unknown product.
        ProducerError: the file cannot be read, or lacks a column.
    """
    clusters: dict[str, str] = {}
    for entry in read_catalogue(file, {"cluster_id": "cluster_id"}, []):
        id, cluster = _named(entry, "id"), _named(entry, "cluster_id")
        if clusters.setdefault(id, cluster) != cluster:
            raise DataError(f"{entry.place}: id={short(id)} is in cluster {short(clusters[id])} already: give it one")
    _refuse_unknown(file, clusters, products)
    return clusters


def _with_id(file: Path, source: Source, mapping: Mapping[str, str]) -> Mapping[str, str]:
    """The mapping, and which column of a table is the id, where the source calls it otherwise."""
    if "id" in mapping or source.ids == ("id",):
        return mapping
    names = names_of(_header(file))
    column = next((name for name in source.ids if name in names), None)
    return {**mapping, "id": column} if column else mapping


def _header(file: Path) -> str:
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
            return stream.readline(64 * 1024).decode("utf-8-sig", errors="replace")
    except (OSError, EOFError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def _pair(entry: Entry, labelled: bool) -> Pair:
    left, right = _named(entry, "left_id"), _named(entry, "right_id")
    if left == right:
        raise DataError(f"{entry.place}: left_id={short(left)} is paired with itself: leave this line out")
    fields = _fields(entry)
    same = FLAGS.get(str(fields.get("label")).strip().lower()) if labelled else True
    if same is None:
        raise DataError(f"{entry.place}: label={short(fields.get('label'))} is no label: send 1 (the same) or 0")
    split = _optional(entry, "split") or "train"
    return Pair(left, right, same, split, _optional(entry, "part"))


def _named(entry: Entry, name: str) -> str:
    value: Any = _fields(entry).get(name)
    if not isinstance(value, str) or not value:
        raise DataError(f"{entry.place}: {name}={short(value)} is not allowed: send a product id or name, a string")
    return value


def _optional(entry: Entry, name: str) -> str:
    return _named(entry, name) if name in _fields(entry) else ""


def _fields(entry: Entry) -> Fields:
    try:
        return entry.fields()
    except BadEvent as bad:
        raise DataError(f"{entry.place}: {bad}") from None


def _refuse_unknown(file: Path, ids: Iterable[str], products: Collection[str]) -> None:
    unknown = sorted({id for id in ids if id not in products})
    if unknown:
        named = ", ".join(short(id) for id in unknown[:SHOWN])
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        raise DataError(f"{file} names unknown products {named}{more}: add them to the products, or skip their lines")
