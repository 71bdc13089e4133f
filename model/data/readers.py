"""Data sets read from files: the ones that the project knows by name, and a user's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from model.data.dataset import Dataset, Pair
from model.data.errors import DataError
from model.data.mappings import PLAIN, Source
from model.data.rows import read_clusters, read_pairs, read_products
from producer.product import Product

LANGUAGES = {
    "abt_buy": "en",
    "amazon_google": "en",
    "wdc_lspc_titles": "xx",
    "ali_ember_zh": "zh",
    "fashion_catalog_44k": "en",
    "fashion_images_1500": "en",
}
"""The sets known by name, and the language of each."""
SIDES = ("A", "B")


def read_named(root: Path, name: str) -> Dataset:
    """Read a set that is known by name.

    Args:
        root: the folder that the sets' folders are in.
        name: one of ``LANGUAGES``.

    Raises:
        DataError: the name is not known, or its files are missing or damaged.
        ProducerError: a file cannot be read.
    """
    folder = root / name
    if name not in LANGUAGES:
        raise DataError(f"data set {name!r} is not known: choose one of {', '.join(sorted(LANGUAGES))}")
    if not folder.is_dir():
        raise DataError(f"data set {name!r} is not in {root}: name the folder that it lies in")
    products, sides = _tables(folder)
    pairs, clusters, images = folder / "pairs.csv.gz", folder / "clusters.csv.gz", folder / "images.zip"
    return Dataset(
        name=name,
        products=products,
        pairs=read_pairs(pairs, products) if pairs.exists() else (),
        clusters=read_clusters(clusters, products) if clusters.exists() else {},
        sides=sides,
        images=images if images.exists() else None,
        language=LANGUAGES[name],
    )


def read_own(
    products: Path,
    pairs: Path | None = None,
    clusters: Path | None = None,
    *,
    source: Source = PLAIN,
    mapping: Mapping[str, str] | None = None,
    images: Path | None = None,
    language: str = "xx",
    skipped: list[Pair] | None = None,
) -> Dataset:
    """Read a user's own files; the set is called as the file of the products.

    Args:
        products: JSON Lines, a JSON array, CSV or TSV, maybe gzipped; as all files here.
        pairs: columns ``left_id``, ``right_id``, and maybe ``label``, ``split``, ``part``.
        clusters: columns ``id``, ``cluster_id``.
        source: the style of the product rows.
        mapping: product field -> column; ``attributes.NAME`` maps an attribute.
        images: the folder or zip file that ``image`` is a path below.
        language: of the texts.
        skipped: takes up the pairs that name an unknown product; None makes them an error.

    Raises:
        DataError: a line that is no product, pair or cluster row, or names an unknown product.
        ProducerError: a file cannot be read, or lacks a column.
    """
    if images is not None and not images.exists():
        raise DataError(f"images={images} does not exist: name a folder of images or a zip file")
    known = read_products(products, source, mapping or {})
    return Dataset(
        name=products.name.partition(".")[0],
        products=known,
        pairs=read_pairs(pairs, known, skipped) if pairs else (),
        clusters=read_clusters(clusters, known) if clusters else {},
        images=images,
        language=language,
    )


def _tables(folder: Path) -> tuple[dict[str, Product], dict[str, str]]:
    """The products of one catalogue, or of two and the side of each."""
    if (folder / "products.jsonl.gz").exists():
        return read_products(folder / "products.jsonl.gz", PLAIN, {}), {}
    tables = {side: read_products(folder / f"table{side}.jsonl.gz", PLAIN, {}) for side in SIDES}
    sides = {id: side for side, table in tables.items() for id in table}
    return tables["A"] | tables["B"], sides
