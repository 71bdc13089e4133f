"""Weights of n-grams from the catalogue that a bundle will serve: which words are rare is a matter of the shop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokenizers import Tokenizer

from model.bundle import TextSpec
from model.errors import ModelError
from model.network import ProductEncoder
from model.text import cutting, product_text
from producer.events import Product
from producer.progress import Shown, silent

AT_ONCE = 1024
"""Texts that are cut into tokens in one call."""


def fit_to_catalogue(
    network: ProductEncoder,
    tokenizer: Tokenizer,
    spec: TextSpec,
    products: Sequence[Product],
    shown: Shown = silent,
) -> None:
    """Set the weights of the lexical branch to the inverse document frequencies of the catalogue.

    No labels are needed. What training made of these weights is lost; the gains by length and digits, and the scale, stay.

    Args:
        network: the one to export.
        tokenizer: its own.
        spec: how a product becomes text.
        products: the catalogue.
        shown: takes how many products are done, and of how many.

    Raises:
        ModelError: the network has no lexical branch.
    """
    if network.lexical is None:
        raise ModelError(
            "this network has no n-grams to fit to a catalogue: export it without one, or train with network.lexical"
        )
    network.lexical.fit_idf(_tokens(cutting(tokenizer, network.config.max_tokens), spec, products, shown))


def _tokens(tokenizer: Tokenizer, spec: TextSpec, products: Sequence[Product], shown: Shown) -> Iterator[list[int]]:
    """Token ids of each product's text."""
    for start in range(0, len(products), AT_ONCE):
        shown(start, len(products))
        texts = [product_text(product, spec) for product in products[start : start + AT_ONCE]]
        yield from (encoding.ids for encoding in tokenizer.encode_batch(texts))
