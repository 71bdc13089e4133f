"""Harder tellings of a data set whose right answers are a category and an attribute: with less text, or without images."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import replace

from msgspec.structs import replace as changed

from model.data.dataset import Dataset
from model.data.fields import value_of
from model.data.naming import Words
from producer.events import Product

TITLES = "titles"
"""The title is all the text there is."""
PLAIN = "plain titles"
"""The same, without the words of any category and of any value of the attribute."""
HALF_TEXT = "plain titles, half without text"
HALF_IMAGE = "plain titles, half without image"
VARIANTS = (TITLES, PLAIN, HALF_TEXT, HALF_IMAGE)


def variant(dataset: Dataset, name: str, ids: Collection[str], attribute: str = "colour", seed: int = 0) -> Dataset:
    """Some products of a data set as a variant tells them; what is neither text nor image is as it was.

    Args:
        dataset: whose category and attribute are asked for; the words taken out are those of all its products.
        name: one of ``VARIANTS``.
        ids: of the products asked for; half of exactly these has no text, or no image.
        attribute: the one asked for.
        seed: of the halves; what has no text and what has no image are drawn independently.

    Raises:
        ValueError: there is no such variant.
    """
    if name not in VARIANTS:
        raise ValueError(f"variant={name!r} is not known: choose one of {', '.join(VARIANTS)}")
    products = {id: _titled(dataset.products[id]) for id in ids}
    if name != TITLES:
        said = Words.of(value for product in dataset.products.values() for value in _values(product, attribute))
        products = {id: changed(product, title=said.out_of(product.title or "")) for id, product in products.items()}
    if name == HALF_TEXT:
        products |= {id: changed(products[id], title=None) for id in half(products, f"{seed} text")}
    if name == HALF_IMAGE:
        products |= {id: changed(products[id], image=None) for id in half(products, f"{seed} image")}
    return replace(dataset, products=products)


def half(ids: Collection[str], seed: str) -> list[str]:
    """Half of the ids, rounded down; the seed and the ids alone decide which."""
    ranked = sorted(ids, key=lambda id: hashlib.blake2b(f"{seed} {id}".encode(), digest_size=16).digest())
    return ranked[: len(ranked) // 2]


def _titled(product: Product) -> Product:
    return changed(product, brand=None, category=None, attributes=None, description=None)


def _values(product: Product, attribute: str) -> Iterator[str]:
    yield from (product.category or "").split(" > ")
    if value := value_of(product, f"attributes.{attribute}"):
        yield value
