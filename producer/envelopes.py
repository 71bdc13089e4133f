"""The formats around a product object: CloudEvents 1.0 and Debezium change envelopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, from_structured
from cloudevents.core.formats.json import JSONFormat

from producer.product import MAX_ID_BYTES, Deletion, Product, checked_id, product_from
from producer.refusals import BadEvent, short

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]

UPSERTS = ("c", "u", "r")
DEBEZIUM_FIELDS = frozenset({"after", "before", "source"})
_UNPARSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def key_text(key: bytes | None) -> str | None:
    """The record key as text.

    Raises:
        BadEvent: not UTF-8, empty or too long.
    """
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_ID_BYTES:
        raise BadEvent("BadKey", f"key has {len(key)} bytes: the id of a product has 1 to {MAX_ID_BYTES}")
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise BadEvent("BadKey", f"key={short(key)} is not UTF-8: send the product id as UTF-8") from None


def key_id(key: bytes | None) -> str | None:
    """The id in the key of a Debezium record, which may be plain text or JSON, with or without a wrapper.

    Raises:
        BadEvent: the key is not text, or its ``id`` is not a string.
    """
    text = key_text(key)
    if text is None or not text.startswith("{"):
        return text
    try:
        fields = msgspec.json.decode(text)
    except _UNPARSED:
        return text
    payload = fields.get("payload", fields)
    id = payload.get("id") if isinstance(payload, dict) else payload
    if id is None:
        return text
    if not isinstance(id, str) or not id:
        raise BadEvent("BadKey", f"key={short(text)} has an id that is not a string: send the product id as text")
    return id


def is_cloud_event(headers: Headers) -> bool:
    """Whether the headers say so: ``ce_specversion`` (binary mode) or the structured content type."""
    return any(
        name.lower() == "ce_specversion"
        or (name.lower() == "content-type" and (value or b"").startswith(b"application/cloudevents"))
        for name, value in headers
    )


def from_cloud_event(key: bytes | None, value: bytes, headers: Headers) -> Product | Deletion:
    """A product or deletion from a CloudEvent; ``type`` must end in ``.upserted`` or ``.deleted``."""
    kept = {name.lower(): content for name, content in headers if content is not None}
    binary = "ce_specversion" in kept
    event = _binary(kept, value) if binary else _structured(value)
    kind, record_key = event.get_type(), key_text(key)
    if kind.endswith(".deleted"):
        return Deletion(checked_id(event.get_subject() or record_key, record_key))
    if not kind.endswith(".upserted"):
        raise BadEvent("UnknownFormat", f"type={short(kind)} is not known: end it in .upserted or .deleted")
    data = value if binary else event.get_data()
    return product_from(parsed(data) if isinstance(data, str | bytes) else data, record_key)


def from_envelope(key: bytes | None, value: bytes, fields: Any) -> Product | Deletion | None:
    """What a CloudEvent in structured mode or a Debezium envelope says; None when the value is neither.

    Args:
        key: of the record.
        value: of the record.
        fields: the value, parsed.
    """
    if not isinstance(fields, dict):
        return None
    if "specversion" in fields:
        return from_cloud_event(key, value, ())
    payload = fields.get("payload")
    change = payload if isinstance(payload, dict) and "op" in payload else fields
    if "op" in change and not DEBEZIUM_FIELDS.isdisjoint(change):
        return _from_debezium(key, change)
    return None


def parsed(value: str | bytes) -> Any:
    """JSON, strictly: no NaN, no broken UTF-8, no bottomless nesting.

    Raises:
        BadEvent: it is not.
    """
    try:
        if isinstance(value, bytes):
            value.decode()
        return msgspec.json.decode(value)
    except UnicodeDecodeError as broken:
        raise BadEvent("NotUtf8", f"value has a broken byte at {broken.start} ({broken.reason}): send UTF-8") from None
    except _UNPARSED as error:
        raise BadEvent("NotJson", f"value={short(value)} is not JSON ({_line(error)}): send a JSON object") from None


def _binary(headers: dict[str, bytes], value: bytes) -> BaseCloudEvent:
    try:
        return _version_1(from_binary(KafkaMessage(headers, None, b""), JSONFormat()))
    except Exception as error:  # the library raises whatever its parsers raise
        raise _not_a_cloud_event(value, error) from error


def _structured(value: bytes) -> BaseCloudEvent:
    parsed(value)  # the library's own parser is lenient
    try:
        return _version_1(from_structured(KafkaMessage({}, None, value), JSONFormat()))
    except Exception as error:  # the library raises whatever its parsers raise
        raise _not_a_cloud_event(value, error) from error


def _version_1(event: BaseCloudEvent) -> BaseCloudEvent:
    if event.get_specversion() != "1.0":
        raise ValueError(f"specversion is {event.get_specversion()}")
    return event


def _not_a_cloud_event(value: bytes, error: Exception) -> BadEvent:
    problem = f"value={short(value)} is not a CloudEvents event ({_line(error)})"
    return BadEvent("UnknownFormat", f"{problem}: send version 1.0 with id, source and type")


def _from_debezium(key: bytes | None, change: dict[str, Any]) -> Product | Deletion:
    op, id = change["op"], key_id(key)
    if op in UPSERTS:
        return product_from(change.get("after"), id)
    if op != "d":
        raise BadEvent("UnknownFormat", f"op={short(op)} is not known: a change has op c, u, r or d")
    before = change.get("before")
    named = before.get("id") if isinstance(before, dict) else None
    if named is not None and not isinstance(named, str):
        raise BadEvent("InvalidProduct", f"before.id={short(named)} is not allowed: send a string")
    return Deletion(checked_id(named or id, id))


def _line(error: Exception) -> str:
    """What a parser says, on one printable line: it may quote the event."""
    printable = "".join(character if character.isprintable() else " " for character in str(error))
    return " ".join(printable.split())[:200] or type(error).__name__
