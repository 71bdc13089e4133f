"""Whatever bytes come in: a product, a deletion or a refusal, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from producer.cleaning import cleaned
from producer.events import BadEvent, Deletion, Product, decode_event, encode_product, product_from

NAMES = [*Product.__struct_fields__, "specversion", "type", "source", "subject", "data", "data_base64", "time", "op"]
NAMES += ["before", "after", "payload", "schema"]
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["1.0", "a.upserted", "a.deleted", "c", "u", "d", "p1", "2026-01-31T12:00:00Z", "EUR", "eA=="]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=6),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["ce_specversion", "ce_type", "ce_source", "ce_id", "ce_subject", "ce_time", "content-type", "x"]
        ),
        st.none()
        | st.binary(max_size=20)
        | st.sampled_from([b"1.0", b"a.upserted", b"a.deleted", b"/s", b"p1", b"application/cloudevents+json"]),
    ),
    max_size=8,
)
KEYS = st.none() | st.binary(max_size=600) | st.sampled_from([b"p1", b'{"id":"p1"}', b'{"payload":{"id":5}}'])
TITLES = st.text(st.sampled_from("ab <>/&;#x3;!-amp\"'lt\u200b\u200dé\u3000\n"), max_size=40) | st.text(max_size=40)


def check(make: Callable[[], object]) -> None:
    """An event that survives the way, or a refusal in one line."""
    try:
        event = make()
    except BadEvent as bad:
        refused = bad
    else:
        assert isinstance(event, Product | Deletion)
        if isinstance(event, Product):
            assert decode_event(event.id.encode(), encode_product(event), None) == event
        return
    assert refused.reason.isidentifier()
    assert "\n" not in str(refused)


@given(KEYS, st.none() | st.binary(max_size=200), st.none() | HEADERS)
@settings(max_examples=300)
def test_any_bytes(key: bytes | None, value: bytes | None, headers: Any) -> None:
    check(lambda: decode_event(key, value, headers))


@given(KEYS, OBJECTS, st.none() | HEADERS)
@settings(max_examples=500)
def test_any_object_with_fields_that_mean_something(key: bytes | None, fields: Any, headers: Any) -> None:
    check(lambda: decode_event(key, json.dumps(fields).encode(), headers))


@given(VALUES)
@settings(max_examples=300)
def test_any_python_value(value: Any) -> None:
    check(lambda: product_from(value, None))


CLEAN = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).map(cleaned).filter(bool)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
PRODUCTS = st.builds(
    Product,
    id=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=100),
    title=CLEAN,
    description=st.none() | CLEAN,
    brand=st.none() | CLEAN,
    category=st.none() | CLEAN,
    price=st.none() | NUMBERS.map(abs),
    currency=st.none() | st.from_regex("[A-Z]{3}", fullmatch=True),
    image=st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    attributes=st.none()
    | st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=10),
        st.text(st.characters(codec="utf-8"), max_size=10)
        | st.integers(-(2**63), 2**63 - 1)
        | NUMBERS
        | st.booleans()
        | st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=3),
        min_size=1,
        max_size=5,
    ),
    available=st.booleans(),
    version=st.none() | st.integers(-(2**63), 2**63 - 1),
    updated_at=st.none() | st.datetimes().map(lambda time: time.isoformat() + "Z"),
    embedding=st.none() | st.lists(st.floats(0.001, 1000) | st.floats(-1000, -0.001), min_size=1, max_size=8),
)


@given(PRODUCTS)
@settings(max_examples=300)
def test_a_clean_product_survives_the_way(product: Product) -> None:
    assert decode_event(product.id.encode(), encode_product(product), None) == product


@given(PRODUCTS, st.sampled_from([b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5"]), st.data())
@settings(max_examples=300)
def test_a_broken_byte_is_refused_wherever_it_stands(product: Product, broken: bytes, data: st.DataObject) -> None:
    value = encode_product(product)
    at = data.draw(st.integers(0, len(value)))
    with pytest.raises(BadEvent):
        decode_event(product.id.encode(), value[:at] + broken + value[at:], None)


@given(TITLES)
@example("&amp;lt;b&amp;gt;")
@example("<\u200bb>")
@example("&am&#112;;lt;b>")
@settings(max_examples=1000)
def test_cleaning_a_clean_text_changes_nothing(text: str) -> None:
    once = cleaned(text)

    assert cleaned(once) == once
    assert once == once.strip()
    assert "  " not in once
