"""How a product becomes the text that is encoded; the one place that says so."""

from __future__ import annotations

from tokenizers import Tokenizer

from model.bundle import TextSpec
from producer.events import Product
from producer.product import Attribute


def product_text(product: Product, spec: TextSpec) -> str:
    """The fields that are known, in the order of the spec; attributes as ``name value``, sorted by name."""
    return spec.separator.join(part for part in (_field(product, name) for name in spec.fields) if part)


def cutting(tokenizer: Tokenizer, tokens: int) -> Tokenizer:
    """A copy of a tokenizer that cuts texts at so many tokens, special ones included, and does not pad them."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_padding()
    copy.enable_truncation(tokens)
    return copy


def _field(product: Product, name: str) -> str:
    if name == "attributes":
        named = ((key, _value(value)) for key, value in sorted((product.attributes or {}).items()))
        return ", ".join(f"{key} {value}" for key, value in named if value)
    text: str | None = getattr(product, name)
    return text or ""


def _value(value: Attribute) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"
    return " ".join(value) if isinstance(value, list) else str(value)
