"""Products, and what is known about which of them are the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from producer.events import Product


@dataclass(frozen=True, slots=True)
class Pair:
    """Two products, and whether they are the same; ``split`` is train, valid or test, or a name of the source's own."""

    left: str
    right: str
    same: bool
    split: str
    part: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One source.

    Attributes:
        name: of the source, such as ``abt_buy``.
        products: by id.
        pairs: labelled pairs of ids, all of which are in ``products``.
        clusters: cluster by id, where the source knows it.
        sides: ``A`` or ``B`` by id, where the source is two shops and a search goes from A to B; empty for one catalogue.
        images: the folder or zip file that a product's ``image`` is a path under.
        language: ``en``, ``zh``, or ``xx`` for several.
    """

    name: str
    products: Mapping[str, Product]
    pairs: Sequence[Pair] = ()
    clusters: Mapping[str, str] = field(default_factory=dict)
    sides: Mapping[str, str] = field(default_factory=dict)
    images: Path | None = None
    language: str = "en"
