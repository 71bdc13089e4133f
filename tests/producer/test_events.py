"""Rules of the product event that the golden files cannot hold: sizes, depth, Python values, and what is sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from producer.events import BadEvent, Deletion, Product, decode_event, encode_product, product_from
from producer.product import Wire

MIB = 1024 * 1024
CE = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/s"), ("ce_type", b"p.upserted")]


def product_json(size: int) -> bytes:
    """A valid product of exactly so many bytes."""
    head, tail = b'{"id":"p1","title":"', b'"}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


def refusal(key: bytes | None, value: bytes | None, headers: Any = None) -> BadEvent:
    with pytest.raises(BadEvent) as refused:
        decode_event(key, value, headers)
    return refused.value


def test_one_mebibyte_is_allowed_and_one_byte_more_is_not() -> None:
    product = decode_event(b"p1", product_json(MIB), None)

    assert isinstance(product, Product)
    assert product.title is not None
    assert len(product.title) == MIB - 22
    assert refusal(b"p1", product_json(MIB + 1)).reason == "TooLarge"


def test_size_is_checked_before_anything_is_parsed() -> None:
    assert refusal(b"p1", b"\xff" * (MIB + 1)).reason == "TooLarge"
    assert refusal(b"p1", b"\xff" * (MIB + 1), CE).reason == "TooLarge"


@pytest.mark.parametrize(
    "value", [b"[" * 100_000, b'{"id":"p1","title":"x","stock":' + b"[" * 100_000 + b"]" * 100_000]
)
@pytest.mark.parametrize("headers", [None, CE, [("content-type", b"application/cloudevents+json")]])
def test_bottomless_nesting_is_refused(value: bytes, headers: Any) -> None:
    assert refusal(b"p1", value, headers).reason == "NotJson"


def test_a_key_that_is_not_text_is_refused() -> None:
    assert refusal(b"\xff", b'{"id":"p1","title":"x"}').reason == "BadKey"
    assert refusal(b"\xff", None).reason == "BadKey"


def test_messages_shorten_what_was_sent() -> None:
    refused = refusal(b"p1", json.dumps({"id": "p1", "title": "x", "currency": "E" * 10_000}).encode())

    assert str(refused).startswith("currency='EEE")
    assert str(refused).endswith("… is not allowed: send an ISO 4217 code such as EUR")
    assert len(str(refused)) < 150


def test_headers_without_a_value_are_skipped() -> None:
    headers = [*CE, ("ce_subject", None), ("note", None)]

    assert decode_event(b"p1", b'{"id":"p1","title":"x"}', headers) == Product(id="p1", title="x")
    assert decode_event(b"p1", b"", [*CE, ("ce_type", b"p.deleted"), ("ce_subject", None)]) == Deletion("p1")


def test_unknown_facts_are_left_out_when_sent() -> None:
    assert encode_product(Product(id="p1", title="x")) == b'{"id":"p1","title":"x"}'
    assert json.loads(encode_product(Product(id="p1", title="x", available=False))) == {
        "id": "p1",
        "title": "x",
        "available": False,
    }


def test_a_product_too_large_to_be_received_is_not_sent() -> None:
    with pytest.raises(BadEvent) as refused:
        encode_product(Product(id="p1", title="x", description="x" * MIB))

    assert refused.value.reason == "TooLarge"


def test_everything_known_survives_the_way() -> None:
    product = Product(
        id="p1",
        title="Red shoe",
        description="Light",
        brand="Acme",
        category="Shoes > Running",
        price=0.1 + 0.2,
        currency="EUR",
        image="p1.jpg",
        attributes={"size": "42", "weight": 1e22, "pieces": -(2**63), "vegan": True, "colours": ["red"], "none": []},
        available=False,
        version=2**63 - 1,
        updated_at="2026-01-31T12:00:00.123Z",
        embedding=[1e-30, -3.4e38],
    )

    assert decode_event(b"p1", encode_product(product), None) == product


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": "p1", "title": "x", "price": float("nan")}, "InvalidProduct"),
        ({"id": "p1", "title": "x", "price": float("inf")}, "InvalidProduct"),
        ({"id": "p1", "title": "x", "price": 10**400}, "InvalidProduct"),
        ({"id": "p1", "title": "x", "attributes": {"a": float("nan")}}, "InvalidProduct"),
        ({"id": "p1", "title": "x", "embedding": [float("nan")]}, "InvalidEmbedding"),
        ({"id": "p1", "title": "x", "embedding": [float("inf"), 1.0]}, "InvalidEmbedding"),
        ({"id": "p1", "title": "x", "embedding": [1.0, float("nan")]}, "InvalidEmbedding"),
        ({"id": "p1", "title": "\ud800"}, "NotUtf8"),
        ({"id": "\ud800" * 200, "title": "x"}, "NotUtf8"),
        ({"id": "p1", "title": "x", "updated_at": "\ud800"}, "NotUtf8"),
        ({"id": "p1", "title": b"x"}, "InvalidProduct"),
        ({1: 2}, "InvalidProduct"),
        (None, "UnknownFormat"),
    ],
)
def test_python_values_that_json_cannot_hold_are_refused(fields: Any, reason: str) -> None:
    with pytest.raises(BadEvent) as refused:
        product_from(fields, None)

    assert refused.value.reason == reason


def test_a_reason_is_one_printable_line_even_if_a_parser_quotes_the_event() -> None:
    event = {"specversion": "1.0", "id": "e", "s\x7four\u2028ce": "/shop", "type": "p.upserted", "data": {"id": "p1"}}
    refused = refusal(None, json.dumps(event).encode(), [("content-type", b"application/cloudevents+json")])
    assert refused.reason == "UnknownFormat"
    assert str(refused).isprintable()


def test_a_product_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Product(id="p1").title = "x"  # type: ignore[misc]  # that is the test


def test_the_wire_fields_are_those_of_the_product() -> None:
    markers = {"specversion", "op", "payload"}
    assert {field.name for field in msgspec.structs.fields(Wire)} - markers == {
        field.name for field in msgspec.structs.fields(Product)
    }
