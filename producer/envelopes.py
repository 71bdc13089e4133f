"""The formats around a product object: CloudEvents 1.0 and Debezium change envelopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.formats.json import JSONFormat

from producer.product import MAX_ID_BYTES, BadEvent, Deletion, Product, checked_id, product_from, short

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]

UPSERTS = ("c", "u", "r")


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
    """The id in the key of a Debezium record, which may be plain text or JSON, with or without a wrapper."""
    text = key_text(key)
    if text is None or not text.startswith("{"):
        return text
    try:
        fields = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    fields = fields.get("payload", fields)
    id = fields.get("id") if isinstance(fields, dict) else None
    return text if id is None else str(id)


def is_cloud_event(headers: Headers) -> bool:
    """Whether the headers say so: ``ce_*`` (binary mode) or the structured content type."""
    return any(
        name.lower() == "ce_specversion"
        or (name.lower() == "content-type" and (value or b"").startswith(b"application/cloudevents"))
        for name, value in headers
    )


def from_cloud_event(key: bytes | None, value: bytes, headers: Headers) -> Product | Deletion:
    """A product or deletion from a CloudEvent; ``type`` must end in ``.upserted`` or ``.deleted``."""
    kept = {name.lower(): content for name, content in headers if content is not None}
    try:
        event = from_kafka(KafkaMessage(headers=kept, key=None, value=value), JSONFormat())
    except Exception as error:  # the library raises whatever its parsers raise
        raise BadEvent(
            "InvalidCloudEvent", f"value={short(value)} is not a CloudEvents 1.0 event: {_line(error)}"
        ) from error
    kind, subject, record_key = event.get_type(), event.get_subject(), key_text(key)
    if kind.endswith(".deleted"):
        return Deletion(checked_id(subject or record_key, record_key))
    if not kind.endswith(".upserted"):
        raise BadEvent("UnknownFormat", f"type={short(kind)} is not known: end it in .upserted or .deleted")
    data = event.get_data()
    return product_from(_parsed(data) if isinstance(data, str | bytes) else data, record_key)


def from_envelope(key: bytes | None, value: bytes) -> Product | Deletion | None:
    """What a CloudEvent in structured mode or a Debezium envelope says; None when the value is neither."""
    fields = _parsed(value)
    if not isinstance(fields, dict):
        return None
    if "specversion" in fields:
        return from_cloud_event(key, value, [("content-type", b"application/cloudevents+json")])
    payload = fields.get("payload")
    change = payload if isinstance(payload, dict) and "op" in payload else fields
    if "op" in change and ("after" in change or "before" in change):
        return _from_debezium(key, change)
    return None


def _from_debezium(key: bytes | None, change: dict[str, Any]) -> Product | Deletion:
    op = change["op"]
    id = key_id(key)
    if op in UPSERTS:
        return product_from(change.get("after"), id)
    if op == "d":
        before = change.get("before")
        named = before.get("id") if isinstance(before, dict) else None
        return Deletion(checked_id(str(named) if named is not None else id, id))
    raise BadEvent("UnknownFormat", f"op={short(op)} is not known: a change has op c, u, r or d")


def _parsed(value: str | bytes) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadEvent("NotJson", f"value={short(value)} is not JSON ({_line(error)}): send a JSON object") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
