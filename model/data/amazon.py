"""Rows in the style of Amazon's product metadata.

Known writings: Amazon Reviews 2023 (``parent_asin``, ``store``, ``categories``, ``features``, ``details``, ``images``; as the
original JSON Lines, and as tables in which the nested values are JSON text or lists by size), and its editions of 2018
and 2014 (``asin``, ``brand``, ``category``, ``feature``, ``imageURLHighRes``, ``imUrl``).
"""

from __future__ import annotations

from typing import Any

from model.data.foreign import first, joined, known, parsed, price, texts
from producer.columns import Fields

IDS = ("parent_asin", "asin", "id")
SIZES = ("hi_res", "large", "thumb")
NOT_OF_THE_PRODUCT = frozenset(
    {"Best Sellers Rank", "Customer Reviews", "Date First Available", "Is Discontinued By Manufacturer", "ASIN"}
)
"""Details that tell about the shop's page."""


def amazon_fields(row: Fields) -> Fields:
    """The fields of a product object from one row."""
    details = parsed(first(row, ("details",)))
    details = details if isinstance(details, dict) else {}
    amount = price(row.get("price"))
    brand = first(row, ("brand", "store")) or first(details, ("Brand", "Manufacturer"))
    return known(
        {
            "id": first(row, IDS),
            "title": joined(texts(row.get("title")), " "),
            "brand": joined(texts(brand)[:1], " "),
            "category": _category(row),
            "description": joined([*texts(_features(row)), *texts(row.get("description"))], "\n"),
            "attributes": _attributes(details),
            "image": _image(row),
            "price": amount,
            "currency": "USD" if amount is not None else None,
        }
    )


def _features(row: Fields) -> Any:
    return first(row, ("features", "feature"))


def _category(row: Fields) -> str | None:
    levels = parsed(first(row, ("categories", "category")))
    if isinstance(levels, list) and levels and isinstance(levels[0], list):
        levels = levels[0]
    return joined(texts(levels), " > ") or joined(texts(first(row, ("main_category", "main_cat"))), " > ")


def _attributes(details: Fields) -> Fields:
    kept = {name: value for name, value in details.items() if name not in NOT_OF_THE_PRODUCT}
    return {name: value for name, value in kept.items() if isinstance(value, str | int | float) and value != ""}


def _image(row: Fields) -> str | None:
    """The main image in its largest size."""
    images = parsed(first(row, ("images", "imageURLHighRes", "imageURL", "imUrl", "image")))
    if isinstance(images, dict):
        images = _one_by_one(images)
    if isinstance(images, list) and images and isinstance(images[0], dict):
        main = next((image for image in images if image.get("variant") == "MAIN"), images[0])
        images = first(main, SIZES)
    return next(iter(texts(images)), None)


def _one_by_one(images: Fields) -> list[Fields]:
    """A list of images from lists by size."""
    lists = {name: values for name, values in images.items() if isinstance(values, list)}
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=False)]
