"""The product object and its rules."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from producer.cleaning import cleaned

MAX_ID_BYTES = 512

Attribute: TypeAlias = str | int | float | bool | list[str]
Price = Annotated[float, Meta(ge=0)]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]
Version = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]

REMEDIES = {
    "price": "a number of at least 0",
    "currency": "an ISO 4217 code such as EUR",
    "version": "a 64-bit integer",
    "available": "true or false",
    "attributes": "an object whose values are strings, numbers, booleans or lists of strings",
    "embedding": "a list of finite numbers",
    "updated_at": "an RFC 3339 time such as 2026-01-31T12:00:00Z",
}


class BadEvent(ValueError):
    """An event that cannot be applied; ``reason`` is a short class name, the message names field, value, remedy."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


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
    attributes: dict[str, Attribute | None] | None = None
    available: bool | None = None
    version: Version | None = None
    updated_at: str | None = None
    embedding: list[float] | None = None
    specversion: Raw | UnsetType = UNSET
    op: Raw | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET


_rfc3339 = msgspec.json.Decoder(Annotated[datetime, Meta(tz=True)]).decode


def checked_id(id: str | None, key: str | None) -> str:
    """The product's id, which must agree with the record's key where there is one."""
    if not id:
        raise BadEvent("InvalidProduct", f"id is missing (key {short(key)}): give the product a string id")
    if len(id) > MAX_ID_BYTES // 4 and len(id.encode()) > MAX_ID_BYTES:
        raise BadEvent(
            "InvalidProduct", f"id={short(id)} has {len(id.encode())} bytes, at most {MAX_ID_BYTES} are allowed"
        )
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
        raise BadEvent(
            "InvalidProduct", f"price={wire.price} of product {short(id)} is not finite: send {REMEDIES['price']}"
        )
    if wire.embedding is not None:
        _check_embedding(wire.embedding)
    if wire.updated_at is not None:
        _check_time(wire.updated_at)
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
    """A product from an already parsed JSON object.

    Raises:
        BadEvent: it is not a product object.
    """
    try:
        return product_of(msgspec.convert(fields, Wire), key)
    except msgspec.ValidationError as error:
        raise explained(error, fields) from None


def explained(error: msgspec.ValidationError, fields: Any) -> BadEvent:
    """The library's error, told as field, value and remedy."""
    message = str(error)
    path = message.rpartition(" - at `$")[2].rstrip("`") if " - at `$" in message else ""
    name = path.lstrip(".").partition("[")[0]
    if not name or not isinstance(fields, dict):
        return BadEvent(
            "InvalidProduct", f"value={short(fields)} is not a product: send a JSON object with id and title"
        )
    reason = "InvalidEmbedding" if name == "embedding" else "InvalidProduct"
    remedy = REMEDIES.get(name, "a string")
    return BadEvent(reason, f"{name}={short(fields.get(name))} is not allowed: send {remedy}")


def short(value: Any, limit: int = 60) -> str:
    """One line of a value, for messages."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def _text(text: str | None) -> str | None:
    return (cleaned(text) or None) if text else None


def _attributes(attributes: dict[str, Attribute | None] | None) -> dict[str, Attribute] | None:
    if not attributes:
        return None
    if None in attributes.values():
        return {name: value for name, value in attributes.items() if value is not None} or None
    return attributes  # type: ignore[return-value]  # just checked


def _check_embedding(embedding: list[float]) -> None:
    if not any(embedding):
        raise BadEvent(
            "InvalidEmbedding",
            f"embedding={short(embedding)} is empty or zero: it has no direction, send a vector that has",
        )
    if not math.isfinite(math.fsum(map(abs, embedding))) or not all(map(math.isfinite, embedding)):
        raise BadEvent("InvalidEmbedding", f"embedding={short(embedding)} is not finite: send {REMEDIES['embedding']}")


def _check_time(text: str) -> None:
    try:
        _rfc3339(f'"{text}"')
    except msgspec.DecodeError:
        raise BadEvent(
            "InvalidProduct", f"updated_at={short(text)} is not allowed: send {REMEDIES['updated_at']}"
        ) from None
