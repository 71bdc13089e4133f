"""Fields of a product by name."""

from __future__ import annotations

from producer.product import Product


def value_of(product: Product, field: str) -> str:
    """The value of a field, such as ``category`` or ``attributes.colour``; empty if there is none."""
    name, _, attribute = field.partition(".")
    value = (product.attributes or {}).get(attribute) if attribute else getattr(product, name)
    return "" if value is None else str(value)
