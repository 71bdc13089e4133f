"""How a product becomes text. The one definition: training, serving and search all use it (docs/model-bundle.md)."""

from __future__ import annotations

from model.manifest import TextField, TextSpec
from producer.events import Product

Value = str | int | float | bool | list[str]


def product_text(product: Product, spec: TextSpec) -> str:
    """The text of a product: its fields in the order of the spec, empty ones left out; "" when it has none."""
    parts = (_field(product, name, spec) for name in spec.fields)
    return spec.separator.join(part for part in parts if part)[: spec.max_characters].rstrip()


def free_text(text: str, spec: TextSpec) -> str:
    """A query as the encoder reads it: white space made single, cut at the same length as a product's text."""
    return _clean(text)[: spec.max_characters].rstrip()


def _field(product: Product, name: TextField, spec: TextSpec) -> str:
    if name == "attributes":
        return _attributes(product.attributes or {}, spec)
    return _clean(getattr(product, name) or "")


def _attributes(attributes: dict[str, Value], spec: TextSpec) -> str:
    named = ((_clean(name.replace("_", " ")), _value(value, spec)) for name, value in sorted(attributes.items()))
    return spec.attribute_separator.join(f"{name}{spec.name_separator}{value}" for name, value in named if value)


def _value(value: Value, spec: TextSpec) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, list):
        return spec.list_separator.join(item for item in map(_clean, value) if item)
    return _clean(str(value))


def _clean(text: str) -> str:
    return " ".join(text.split())
