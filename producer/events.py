"""The product event: formats in, one value out. Shared by the producer and the consumer."""

from __future__ import annotations

import msgspec

class Product(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The full state of one product (CONTRACT section 1, product object)."""

    id: str
    title: str | None = None
    description: str | None = None
    brand: str | None = None
    category: str | None = None
    price: float | None = None
    currency: str | None = None
    image: str | None = None
    attributes: dict[str, str | int | float | bool | list[str]] | None = None
    available: bool = True
    version: int | None = None
    updated_at: str | None = None
    embedding: list[float] | None = None


class Deletion(msgspec.Struct, frozen=True):
    """The product with this id is gone."""

    id: str


class BadEvent(ValueError):
    """An event that cannot be applied; ``reason`` is a short class name, the message names field, value, remedy."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
