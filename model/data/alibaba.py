"""Rows in the style of Alibaba and Taobao exports, with English or Chinese column names."""

from __future__ import annotations

import re
from typing import Any

from model.data.foreign import first, joined, known, parsed, price, texts
from producer.columns import Fields

IDS = ("item_id", "num_iid", "auction_id", "nid", "商品ID", "商品id", "宝贝ID", "宝贝id", "商品编号", "id")
TITLES = ("title", "raw_title", "item_title", "商品名称", "商品标题", "宝贝标题", "宝贝名称", "标题", "名称")
BRANDS = ("brand", "brand_name", "品牌", "品牌名称")
CATEGORIES = ("category", "category_name", "cate_name", "cat_name", "类目", "商品类目", "类目名称", "分类")
LEVELS = ("一级类目", "二级类目", "三级类目", "四级类目")
DESCRIPTIONS = ("description", "desc", "item_desc", "描述", "商品描述", "详情", "商品详情")
SPECIFICATIONS = ("pv_pairs", "props", "props_name", "properties", "attributes", "规格", "属性", "商品属性", "规格参数")
IMAGES = ("pict_url", "pic_url", "image_url", "image", "主图", "图片", "商品图片", "商品主图")
PRICES = ("price", "zk_final_price", "reserve_price", "价格", "售价", "商品价格")

_ENTRY = re.compile(r"#;#|[;\uff1b\n|]")
_SIGN = re.compile(r"#:#|[:\uff1a=]")


def alibaba_fields(row: Fields) -> Fields:
    """The fields of a product object from one row.

    Numbers that stand for names (``category`` 50010850, ``brand_id``) say nothing to an encoder and are left out, as is
    ``seller_id``: the same product has many sellers.
    """
    id, amount = first(row, IDS), price(first(row, PRICES))
    attributes = _attributes(parsed(first(row, SPECIFICATIONS)))
    brand = attributes.pop("品牌", None)
    return known(
        {
            "id": str(id) if isinstance(id, int) else id,
            "title": joined(texts(first(row, TITLES)), " "),
            "brand": _name(first(row, BRANDS)) or brand,
            "category": _category(row),
            "description": joined(texts(first(row, DESCRIPTIONS)), "\n"),
            "attributes": attributes,
            "image": _image(first(row, IMAGES)),
            "price": amount,
            "currency": "CNY" if amount is not None else None,
        }
    )


def _name(value: Any) -> str | None:
    """The text of a value, unless it is a number."""
    return joined((text.strip() for text in texts(value) if not text.strip().isdecimal()), " > ")


def _category(row: Fields) -> str | None:
    levels = [row[name] for name in LEVELS if row.get(name)]
    return _name(levels or first(row, CATEGORIES))


def _attributes(value: Any) -> Fields:
    """Attributes from an object, or from a text such as ``颜色:红色;尺码:XL``; a text without names is kept whole."""
    if isinstance(value, dict):
        return {str(name): joined(texts(part), " ") for name, part in value.items() if texts(part)}
    entries = [entry for text in texts(value) for entry in _ENTRY.split(text) if entry.strip()]
    named = [_SIGN.split(entry, maxsplit=1) for entry in entries]
    result: Fields = {}
    for name, *values in named:
        key, text = (name.strip(), values[0].strip()) if values else ("规格", name.strip())
        if key and text:
            result[key] = f"{result[key]} {text}" if key in result else text
    return result


def _image(value: Any) -> str | None:
    """The first image; addresses without a scheme get one."""
    address = next(iter(texts(value)), None)
    return f"https:{address}" if address and address.startswith("//") else address
