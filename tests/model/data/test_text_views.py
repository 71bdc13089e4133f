"""Views differ, are never empty, and say nothing that the product does not."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.bundle import TextSpec
from model.data.text_views import Rates, view
from model.text import product_text
from producer.events import Product

TEXTS = st.none() | st.text(st.sampled_from('ab 1-."红色鞋寸'), max_size=20)
VALUES = st.text("ab 寸", max_size=4) | st.booleans() | st.just(["a", "b"])
ATTRIBUTES = st.none() | st.dictionaries(st.sampled_from("xyz"), VALUES, min_size=1)
PRODUCTS = st.builds(
    Product,
    id=st.just("p"),
    title=TEXTS,
    description=TEXTS,
    brand=TEXTS,
    category=TEXTS,
    attributes=ATTRIBUTES,
    image=st.just("p.jpg"),
    price=st.just(5.0),
)
SHOE = Product(
    id="p",
    title="Red running shoe size 42 model AX-100 by the sea",
    description="A light shoe for long runs on wet roads with 12 mm of foam",
    brand="Acme",
    category="Shoes > Running",
    attributes={"colour": "red", "weight": "250 g", "new": True},
)
HAT = Product(id="h", title="双面渔夫帽女夏百搭日系防紫外线遮脸太阳帽子遮阳防晒帽印花")


def text_of(product: Product) -> str:
    return product_text(product, TextSpec())


def views(product: Product, strength: float = 1.0, number: int = 200, **rates: float) -> list[Product]:
    random = np.random.default_rng(0)
    chosen = Rates(**{**dict.fromkeys(Rates.__dataclass_fields__, 0.0), **rates})
    return [view(product, random, strength, chosen) for _ in range(number)]


@given(PRODUCTS, st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_a_view_of_a_text_is_never_empty(product: Product, seed: int, strength: float) -> None:
    seen = view(product, np.random.default_rng(seed), strength, Rates(*[1.0] * 10))

    assert bool(text_of(seen).strip()) == bool(text_of(product).strip()) or not text_of(product).strip()
    assert (seen.id, seen.image, seen.price) == (product.id, product.image, product.price)


@given(PRODUCTS, st.integers(0, 2**32 - 1))
def test_strength_0_changes_nothing_and_equal_dice_give_equal_views(product: Product, seed: int) -> None:
    assert view(product, np.random.default_rng(seed), 0.0) == product
    assert view(product, np.random.default_rng(seed), 0.7) == view(product, np.random.default_rng(seed), 0.7)


def test_the_product_itself_stays_as_it_was() -> None:
    before = msgspec.json.encode(SHOE)
    views(SHOE, token=0.5, field=0.5, attribute=0.5, poured=1, led=1, unit=1)

    assert msgspec.json.encode(SHOE) == before


def test_words_are_dropped_in_order_and_codes_less_often() -> None:
    seen = [(product.title or "").split() for product in views(SHOE, token=0.5, code=0.1)]
    words = (SHOE.title or "").split()

    assert all(kept == [word for word in words if word in kept] for kept in seen)
    share = {word: np.mean([word in kept for kept in seen]) for word in words}
    assert share["running"] == pytest.approx(0.5, abs=0.12)
    assert share["AX-100"] == pytest.approx(0.9, abs=0.08)


def test_text_without_spaces_loses_pieces_in_order() -> None:
    titles = [product.title or "" for product in views(HAT, token=0.3)]

    assert all(is_subsequence(title, HAT.title or "") for title in titles)
    assert np.mean([len(title) for title in titles]) == pytest.approx(0.7 * len(HAT.title or ""), rel=0.1)
    assert len(set(titles)) > 150


def test_fields_are_dropped_but_the_title() -> None:
    seen = views(SHOE, field=0.5)

    assert all(product.title == SHOE.title for product in seen)
    for name in ("description", "brand", "category", "attributes"):
        assert np.mean([getattr(product, name) is None for product in seen]) == pytest.approx(0.5, abs=0.12)


def test_attributes_are_dropped_or_poured_in_any_order() -> None:
    dropped = [set(product.attributes or {}) for product in views(SHOE, attribute=0.5)]
    assert len({frozenset(names) for names in dropped}) == 8

    poured = views(SHOE, poured=1.0)
    assert {product.description for product in poured} == {
        f"{SHOE.description} red 250 g",
        f"{SHOE.description} 250 g red",
    }
    assert all(product.attributes == {"new": True} for product in poured)


def test_category_and_attributes_go_together_and_then_the_words_of_the_title() -> None:
    seen = views(SHOE, unsaid=0.8, unnamed=0.5)

    told = Counter((product.title, product.category, product.attributes is None) for product in seen)
    silent = ("size 42 model AX-100 by the sea", None, True)
    assert {**told}.keys() == {(SHOE.title, SHOE.category, False), (SHOE.title, None, True), silent}
    assert told[silent] / len(seen) == pytest.approx(0.5, abs=0.12)
    assert told[SHOE.title, SHOE.category, False] / len(seen) == pytest.approx(0.2, abs=0.1)
    fewer = [product.title or "" for product in views(SHOE, unsaid=1.0, unnamed=1.0, rest=0.5)]
    assert np.mean([len(title.split()) for title in fewer]) == pytest.approx(3.5, abs=0.3)
    assert all(is_subsequence(title, silent[0]) and title for title in fewer)
    half = views(SHOE, 0.5, unsaid=0.8, unnamed=0.5)
    assert np.mean([product.category is None for product in half]) == pytest.approx(0.4, abs=0.12)


def test_a_title_that_names_neither_keeps_them_and_draws_nothing() -> None:
    plain = msgspec.structs.replace(SHOE, title="AX-100")
    dice = np.random.default_rng(0)

    assert view(plain, dice, 1.0, Rates(*[0.0] * 7, unsaid=1.0, unnamed=1.0)) == plain
    without = np.random.default_rng(0)
    view(plain, without, 1.0, Rates(*[0.0] * 10))
    assert dice.random() == without.random()


def test_the_brand_may_lead_the_title_once() -> None:
    assert all(product.title == f"Acme {SHOE.title}" for product in views(SHOE, led=1.0))
    named = msgspec.structs.replace(SHOE, title="ACME shoe")
    assert all(product.title == "ACME shoe" for product in views(named, led=1.0))


def test_sizes_are_rewritten_everywhere() -> None:
    seen = views(SHOE, unit=1.0)

    assert {(product.attributes or {})["weight"] for product in seen} == {"250 g", "250g"}
    assert any("12mm" in (product.description or "") for product in seen)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_has_a_range(strength: float) -> None:
    with pytest.raises(ValueError, match="out of range"):
        view(SHOE, np.random.default_rng(0), strength)


def is_subsequence(part: str, whole: str) -> bool:
    signs = iter(whole)
    return all(sign in signs for sign in part)
