"""Rows of Amazon and Alibaba style become products."""

from __future__ import annotations

import json
from typing import Any

import pytest

from model.data.mappings import ALIBABA, AMAZON, PLAIN, SOURCES, Source
from producer.events import Product, product_from


def product(source: Source, row: dict[str, Any]) -> Product:
    before = json.dumps(row)
    made = product_from(source.fields(row), None)
    assert json.dumps(row) == before, "the row is left as it is"
    return made


AMAZON_2023 = {
    "main_category": "All Beauty",
    "title": "Howard LC0008 Leather Conditioner, 8-Ounce (4-Pack)",
    "average_rating": 4.8,
    "rating_number": 10,
    "features": ["For leather", "4-Pack"],
    "description": ["Keeps leather soft."],
    "price": 38.5,
    "images": [
        {"thumb": "https://a/t2.jpg", "large": "https://a/l2.jpg", "variant": "PT01", "hi_res": "https://a/h2.jpg"},
        {"thumb": "https://a/t.jpg", "large": "https://a/l.jpg", "variant": "MAIN", "hi_res": None},
    ],
    "videos": [],
    "store": "Howard Products",
    "categories": ["Beauty", "Leather Care", "Beauty"],
    "details": {
        "Package Dimensions": "7 x 5 inches",
        "Best Sellers Rank": {"x": 1},
        "Date First Available": "May 1",
        "UPC": 617390882781,
    },
    "parent_asin": "B01CUPMQZE",
    "bought_together": None,
}
EXPECTED = Product(
    id="B01CUPMQZE",
    title="Howard LC0008 Leather Conditioner, 8-Ounce (4-Pack)",
    brand="Howard Products",
    category="Beauty > Leather Care",
    description="For leather 4-Pack Keeps leather soft.",
    attributes={"Package Dimensions": "7 x 5 inches", "UPC": 617390882781},
    image="https://a/l.jpg",
    price=38.5,
    currency="USD",
)


def test_amazon_2023() -> None:
    assert product(AMAZON, AMAZON_2023) == EXPECTED


def test_amazon_2023_as_a_table_with_json_in_cells() -> None:
    nested = {"features", "description", "images", "categories", "details"}
    row = {name: json.dumps(value) if name in nested else value for name, value in AMAZON_2023.items()}

    assert product(AMAZON, row | {"price": "$38.50"}) == EXPECTED


def test_amazon_2023_with_images_by_size() -> None:
    images = {
        "hi_res": ["https://a/h2.jpg", None],
        "large": ["https://a/l2.jpg", "https://a/l.jpg"],
        "variant": ["PT01", "MAIN"],
    }

    assert product(AMAZON, AMAZON_2023 | {"images": images}).image == "https://a/l.jpg"


def test_amazon_2018_and_2014() -> None:
    newer = product(
        AMAZON,
        {
            "asin": "1",
            "title": "Shoe",
            "brand": "Acme",
            "category": ["A", "B"],
            "feature": ["f"],
            "imageURLHighRes": ["https://i"],
        },
    )
    older = product(
        AMAZON,
        {"asin": "1", "title": "Shoe", "categories": [["A", "B"], ["C"]], "description": "f", "imUrl": "https://i"},
    )

    assert newer == Product(id="1", title="Shoe", brand="Acme", category="A > B", description="f", image="https://i")
    assert older == Product(id="1", title="Shoe", category="A > B", description="f", image="https://i")


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ("$1,299.00", 1299.0),
        ("from 12.99", 12.99),
        ("—", None),
        ("None", None),
        (None, None),
        ("", None),
        (0, 0.0),
        ("-5", None),
    ],
)
def test_prices(price: Any, expected: float | None) -> None:
    made = product(AMAZON, {"asin": "1", "title": "Shoe", "price": price})

    assert (made.price, made.currency) == (expected, None if expected is None else "USD")


def test_the_maker_is_the_brand_where_no_store_is_named() -> None:
    row = {
        "asin": "1",
        "title": "Shoe",
        "main_category": "Shoes",
        "details": '{"Manufacturer": "Acme"}',
        "images": "[]",
    }

    made = product(AMAZON, row)

    assert (made.brand, made.category, made.image) == ("Acme", "Shoes", None)


def test_taobao_with_english_columns() -> None:
    row = {
        "item_id": 520000,
        "title": "红色跑鞋",
        "pict_url": "//img.alicdn.com/1.jpg",
        "category": "50010850",
        "brand_id": "20211",
        "seller_id": 7,
        "zk_final_price": "129.00",
        "pv_pairs": "品牌:回力;颜色:红色;颜色:白色;货号：668884",  # noqa: RUF001
    }

    assert product(ALIBABA, row) == Product(
        id="520000",
        title="红色跑鞋",
        brand="回力",
        image="https://img.alicdn.com/1.jpg",
        price=129.0,
        currency="CNY",
        attributes={"颜色": "红色 白色", "货号": "668884"},
    )


def test_taobao_with_chinese_columns() -> None:
    row = {
        "商品ID": "7",
        "商品名称": "红色跑鞋",
        "品牌": "回力",
        "一级类目": "鞋",
        "二级类目": "跑鞋",
        "规格": "42码",
        "描述": "轻便",
        "价格": "¥129",
        "主图": '["https://a/1.jpg", "https://a/2.jpg"]',
    }

    assert product(ALIBABA, row) == Product(
        id="7",
        title="红色跑鞋",
        brand="回力",
        category="鞋 > 跑鞋",
        description="轻便",
        attributes={"规格": "42码"},
        image="https://a/1.jpg",
        price=129.0,
        currency="CNY",
    )


def test_pairs_of_ember_and_objects() -> None:
    text = product(ALIBABA, {"id": "1", "title": "x", "pv_pairs": "材质#:#蚕丝#;#款式#:#长手套"})
    given = product(ALIBABA, {"id": "1", "title": "x", "attributes": {"材质": "蚕丝", "款式": ["长手套"]}})

    assert text.attributes == given.attributes == {"材质": "蚕丝", "款式": "长手套"}


def test_sources_by_name() -> None:
    assert SOURCES == {"plain": PLAIN, "amazon": AMAZON, "alibaba": ALIBABA}
    assert product(PLAIN, {"id": "1", "title": "x"}) == Product(id="1", title="x")
