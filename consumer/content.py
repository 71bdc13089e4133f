"""What of a product is content, which is embedded, and what is facts, which only show on its card."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import xxhash

from producer.events import Product
from producer.product import Attribute

TEXTS = ("title", "brand", "category", "currency", "image", "updated_at")
"""The fields of a card that are shown as they are."""

_pack = msgspec.msgpack.Encoder(order="deterministic").encode


def fingerprint(fact_attributes: frozenset[str]) -> Callable[[Product], tuple[bytes, int]]:
    """A function from product to (content hash, 16 bytes; facts hash, 64 bits).

    Content is title, description, brand, category, image, embedding and the attributes that are not facts.
    """

    def split(product: Product) -> tuple[bytes, int]:
        p = product
        content, facts = _split_attributes(p.attributes, fact_attributes)
        return (
            xxhash.xxh3_128_digest(_pack((p.title, p.description, p.brand, p.category, p.image, content, p.embedding))),
            xxhash.xxh3_64_intdigest(_pack((p.price, p.currency, p.available, p.version, p.updated_at, facts))),
        )

    return split


def without_facts(product: Product, fact_attributes: frozenset[str]) -> Product:
    """The product as the encoder may see it: the attributes that are facts are taken away."""
    content, facts = _split_attributes(product.attributes, fact_attributes)
    return msgspec.structs.replace(product, attributes=content) if facts else product


_Attributes = dict[str, Attribute] | None


def _split_attributes(attributes: _Attributes, names: frozenset[str]) -> tuple[_Attributes, _Attributes]:
    if not attributes or names.isdisjoint(attributes):
        return attributes or None, None
    content = {name: value for name, value in attributes.items() if name not in names}
    facts = {name: value for name, value in attributes.items() if name in names}
    return content or None, facts


def card_fields(product: Product) -> dict[str, str]:
    """The card: facts shown beside a product, absent when unknown. ``seen_at`` is added when it is written."""
    fields = {"available": "true" if product.available else "false"}
    for name in TEXTS:
        value = getattr(product, name)
        if value is not None:
            fields[name] = value
    if product.price is not None:
        fields["price"] = f"{product.price:.15g}"
    if product.version is not None:
        fields["version"] = str(product.version)
    return fields
