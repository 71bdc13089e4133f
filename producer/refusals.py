"""Why an event is refused, told as field, value and remedy."""

from __future__ import annotations

from typing import Any

REMEDIES = {
    "id": "the product id, a string of 1 to 512 bytes without NUL",
    "price": "a number of at least 0",
    "currency": "an ISO 4217 code such as EUR",
    "version": "a 64-bit integer",
    "available": "true or false",
    "attributes": "an object whose values are strings, numbers (integers of 64 bits), booleans or lists of strings",
    "embedding": "a list of finite 32-bit numbers that are not all zero",
    "updated_at": "an RFC 3339 time such as 2026-01-31T12:00:00Z",
}


class BadEvent(ValueError):
    """An event that cannot be applied; ``reason`` is a short class name, the message names field, value, remedy."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def wrong(field: str, value: Any, reason: str = "InvalidProduct") -> BadEvent:
    """A field that breaks its rule."""
    return BadEvent(reason, f"{field}={short(value)} is not allowed: send {REMEDIES.get(field, 'a string')}")


def explained(error: Exception, fields: Any) -> BadEvent:
    """The library's error on the types of a product object."""
    if not isinstance(fields, dict):
        return not_an_object(fields)
    path = str(error).rpartition(" - at `$.")[2].rstrip("`")
    field = path.partition("[")[0].partition(".")[0]
    if field not in fields:
        return BadEvent("InvalidProduct", f"value={short(fields)} is not a product ({error}): correct the object")
    return wrong(field, fields[field], "InvalidEmbedding" if field == "embedding" else "InvalidProduct")


def not_an_object(value: Any) -> BadEvent:
    """JSON, but not an object."""
    return BadEvent("UnknownFormat", f"value={short(value)} is not a product: send a JSON object with id and title")


def short(value: Any, limit: int = 60) -> str:
    """One line of a value, for messages."""
    text = repr(value[: limit + 1] if isinstance(value, str | bytes | list) else value)
    return text if len(text) <= limit else f"{text[:limit]}…"
