"""The product event: formats in, one value out. Shared by the producer and the consumer.

Three formats are told apart by content: the plain JSON product object, CloudEvents 1.0 (structured and binary), and the
Debezium change envelope with or without its ``schema``/``payload`` wrapper. A null value deletes the key's product.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from producer.envelopes import Headers, from_cloud_event, from_envelope, is_cloud_event, key_id, key_text, parsed
from producer.product import Deletion, Product, Wire, product_from, product_of
from producer.refusals import BadEvent, explained

__all__ = ["BadEvent", "Deletion", "Headers", "Product", "decode_event", "encode_product", "product_from"]

MAX_VALUE_BYTES = 1024 * 1024

_decode = msgspec.json.Decoder(Wire).decode
_encode = msgspec.json.Encoder().encode


def decode_event(key: bytes | None, value: bytes | None, headers: Headers | None) -> Product | Deletion:
    """Decode one Kafka record.

    Raises:
        BadEvent: the record is none of the formats, or breaks a rule of the product object.
    """
    if value is None:
        return _deletion(key)
    if len(value) > MAX_VALUE_BYTES:
        raise _too_large(value)
    if headers and is_cloud_event(headers):
        return from_cloud_event(key, value, headers)
    try:
        wire = _decode(value)
        _check_utf8(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _other_format(key, value, error)
    if wire.specversion is not UNSET or wire.op is not UNSET or wire.payload is not UNSET:
        enveloped = from_envelope(key, value, parsed(value))
        if enveloped is not None:
            return enveloped
    return product_of(wire, key_text(key))


def encode_product(product: Product) -> bytes:
    """The plain JSON object; what is unknown is left out.

    Raises:
        BadEvent: it is larger than an event may be.
    """
    value = _encode(product)
    if len(value) > MAX_VALUE_BYTES:
        raise _too_large(value)
    return value


def _check_utf8(value: bytes) -> None:
    """The decoder skips over unknown fields: a name with a broken byte would be one, and its field be lost."""
    if not value.isascii():
        value.decode()


def _too_large(value: bytes) -> BadEvent:
    return BadEvent("TooLarge", f"value has {len(value)} bytes, at most {MAX_VALUE_BYTES} are allowed: shorten it")


def _deletion(key: bytes | None) -> Deletion:
    id = key_id(key)
    if id is None:
        raise BadEvent("BadKey", "key=None with a null value: a deletion needs the product id as its key")
    return Deletion(id)


def _other_format(key: bytes | None, value: bytes, error: Exception) -> Product | Deletion:
    """The value is no plain product: maybe an envelope, else say what is wrong with it."""
    fields = parsed(value)
    enveloped = from_envelope(key, value, fields)
    if enveloped is not None:
        return enveloped
    raise explained(error, fields) from None
