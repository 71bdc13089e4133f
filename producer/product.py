"""The product object and its rules."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from producer.cleaning import cleaned
from producer.refusals import BadEvent, explained, short, wrong

MAX_ID_BYTES = 512
LARGEST_FLOAT32 = 3.4028234663852886e38
SMALLEST_LENGTH = 1e-30
"""A vector none of whose numbers reaches this counts as zero: its length cannot be told in 32 bits."""

Attribute: TypeAlias = str | int | float | bool | list[str]
Price = Annotated[float, Meta(ge=0)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Product(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The full state of one product; None is unknown."""

    id: str
    title: str | None = None
    description: str | None = None
    brand: str | None = None
    category: str | None = None
    price: float | None = None
    currency: str | None = None
    image: str | None = None
    attributes: dict[str, Attribute] | None = None
    available: bool = True
    version: int | None = None
    updated_at: str | None = None
    embedding: list[float] | None = None


class Deletion(msgspec.Struct, frozen=True):
    """The product with this id is gone."""

    id: str


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """A product object as it is sent: nulls allowed, and the fields by which the other formats are known."""

    id: str | None = None
    title: str | None = None
    description: str | None = None
    brand: str | None = None
    category: str | None = None
    price: Price | None = None
    currency: Currency | None = None
    image: str | None = None
    attributes: dict[str, str | Integer | float | bool | list[str] | None] | None = None
    available: bool | None = None
    version: Integer | None = None
    updated_at: str | None = None
    embedding: list[float] | None = None
    specversion: Raw | UnsetType = UNSET
    op: Raw | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET


_rfc3339 = msgspec.json.Decoder(Annotated[datetime, Meta(tz=True)]).decode
_encode = msgspec.json.Encoder().encode


def checked_id(id: str | None, key: str | None) -> str:
    """The product's id, which must agree with the record's key where there is one.

    Raises:
        BadEvent: it is missing, too long, or disagrees.
    """
    if id and "\0" in id:
        raise wrong("id", id)
    if not id:
        raise BadEvent("InvalidProduct", f"id is missing (key {short(key)}): give the product a string id")
    if len(id) > MAX_ID_BYTES // 4 and len(id.encode()) > MAX_ID_BYTES:
        raise wrong("id", id)
    if key is not None and key != id:
        raise BadEvent("KeyMismatch", f"id={short(id)} disagrees with the record key {short(key)}: send one id")
    return id


def product_of(wire: Wire, key: str | None) -> Product:
    """Apply the rules that types cannot say, and clean the texts.

    Raises:
        BadEvent: a rule is broken.
    """
    id = checked_id(wire.id, key)
    title = _text(wire.title)
    if title is None and not wire.image and wire.embedding is None:
        raise BadEvent(
            "MissingTitle",
            f"title={short(wire.title)} says nothing: product {short(id)} needs a title, image or embedding",
        )
    if wire.price is not None and not math.isfinite(wire.price):
        raise wrong("price", wire.price)
    if wire.embedding is not None and not _is_direction(wire.embedding):
        raise wrong("embedding", wire.embedding, "InvalidEmbedding")
    if wire.updated_at is not None and not _is_time(wire.updated_at):
        raise wrong("updated_at", wire.updated_at)
    return Product(
        id=id,
        title=title,
        description=_text(wire.description),
        brand=_text(wire.brand),
        category=_text(wire.category),
        price=wire.price,
        currency=wire.currency,
        image=wire.image or None,
        attributes=_attributes(wire.attributes),
        available=wire.available is not False,
        version=wire.version,
        updated_at=wire.updated_at,
        embedding=wire.embedding,
    )


def product_from(fields: Any, key: str | None) -> Product:
    """A product from an already parsed object, which may hold what JSON cannot.

    Raises:
        BadEvent: it is not a product object.
    """
    try:
        product = product_of(msgspec.convert(fields, Wire), key)
        _encode(product)
    except msgspec.ValidationError as error:
        raise explained(error, fields) from None
    except UnicodeEncodeError:
        raise BadEvent("NotUtf8", f"value={short(fields)} has half a surrogate pair: send whole characters") from None
    if product.attributes:
        _check_finite(product.attributes)
    return product


def _text(text: str | None) -> str | None:
    return (cleaned(text) or None) if text else None


def _attributes(attributes: dict[str, Attribute | None] | None) -> dict[str, Attribute] | None:
    if not attributes:
        return None
    if None in attributes.values():
        return {name: value for name, value in attributes.items() if value is not None} or None
    return attributes  # type: ignore[return-value]  # just checked


def _check_finite(attributes: dict[str, Attribute]) -> None:
    for value in attributes.values():
        if isinstance(value, float) and not math.isfinite(value):
            raise wrong("attributes", attributes)


def _is_direction(embedding: list[float]) -> bool:
    sizes = list(map(abs, embedding))
    finite = all(map(math.isfinite, sizes))
    return finite and bool(sizes) and SMALLEST_LENGTH <= max(sizes) <= LARGEST_FLOAT32


def _is_time(text: str) -> bool:
    try:
        _rfc3339(f'"{text}"')
    except msgspec.DecodeError:
        return False
    return "\\" not in text
