"""How a product becomes text: the rules of docs/model-bundle.md."""

from __future__ import annotations

import pytest

from model.bundle import TextSpec
from model.text import product_text
from producer.events import Product

SPEC = TextSpec()


def test_fields_come_in_the_order_of_the_spec() -> None:
    product = Product(
        id="1", title="Desk", brand="Oak & Co", category="Home > Desks", description="Solid.", attributes={"legs": 4}
    )
    assert product_text(product, SPEC) == "Desk | Oak & Co | Home > Desks | legs 4 | Solid."
    assert product_text(product, TextSpec(fields=("description", "title"), separator=". ")) == "Solid.. Desk"


@pytest.mark.parametrize("product", [Product(id="1"), Product(id="1", title="", attributes={}, description="")])
def test_unknown_fields_leave_nothing_behind(product: Product) -> None:
    assert product_text(product, SPEC) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "a yes"),
        (False, "a no"),
        (3, "a 3"),
        (3.0, "a 3"),
        (0.1, "a 0.1"),
        (1234567.0, "a 1234567"),
        (2**62, "a 4611686018427387904"),
        ("blue", "a blue"),
        (["wool", "silk"], "a wool silk"),
        ("", ""),
        ([], ""),
    ],
)
def test_values_are_written_in_one_way(value: str | int | float | bool | list[str], text: str) -> None:
    assert product_text(Product(id="1", attributes={"a": value}), SPEC) == text


def test_the_order_of_attributes_does_not_matter() -> None:
    attributes: dict[str, str | int | float | bool | list[str]] = {"b": "2", "c": "3", "a": "1"}
    backwards = dict(reversed(attributes.items()))
    assert product_text(Product(id="1", attributes=attributes), SPEC) == "a 1, b 2, c 3"
    assert product_text(Product(id="1", attributes=backwards), SPEC) == "a 1, b 2, c 3"


def test_facts_are_no_text() -> None:
    product = Product(id="1", title="Desk", price=9.5, currency="EUR", available=False, version=3)
    assert product_text(product, SPEC) == "Desk"
