"""How rows of other sources become products: column names, nested lists, prices and attributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from model.data.alibaba import IDS as ALIBABA_IDS
from model.data.alibaba import alibaba_fields
from model.data.amazon import IDS as AMAZON_IDS
from model.data.amazon import amazon_fields
from producer.columns import Fields


@dataclass(frozen=True, slots=True)
class Source:
    """A style of rows.

    Attributes:
        name: as asked for.
        ids: columns that may hold the id, the best first.
        fields: a row as the fields of a product object; the row is left as it is.
    """

    name: str
    ids: tuple[str, ...]
    fields: Callable[[Fields], Fields]


def _unchanged(row: Fields) -> Fields:
    return row


PLAIN = Source("plain", ("id",), _unchanged)
"""Rows that are product objects already."""
AMAZON = Source("amazon", AMAZON_IDS, amazon_fields)
ALIBABA = Source("alibaba", ALIBABA_IDS, alibaba_fields)
SOURCES = {source.name: source for source in (PLAIN, AMAZON, ALIBABA)}
