"""Another shop's telling of the same product: augmentation of texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from model.bundle import TextSpec
from model.data.naming import Words
from model.data.units import rewritten
from model.text import product_text
from producer.product import Attribute, Product

OPTIONAL = ("description", "brand", "category", "attributes")
"""Fields that may be dropped."""
CJK_RUN = 4
"""Characters of the longest piece that is dropped at once from text without spaces."""

# A piece is a run of ideographs or kana, which is dropped in parts, or a word with the white space behind it.
_PIECES = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+\s*|[^\s\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+\s*")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class Rates:
    """Probabilities at strength 1; a view at strength s uses s times as much.

    Attributes:
        token: that a word, or a piece of text without spaces, is dropped.
        code: the same for a word with a digit in it: model numbers and sizes decide matches, so they are kept more often.
        field: that a field other than the title is dropped whole.
        attribute: that an attribute is dropped.
        poured: that the attributes go, in a random order and without names, to the end of the description.
        led: that the brand is written before the title.
        unit: that a size is written another way.
        unsaid: that category and attributes are dropped together, of a title that names one of them.
        unnamed: that the words by which it does go, too; no more than ``unsaid``.
        rest: that a further word of such a title is dropped: by what little it says products must not be told by heart.
    """

    token: float = 0.3
    code: float = 0.08
    field: float = 0.5
    attribute: float = 0.4
    poured: float = 0.3
    led: float = 0.3
    unit: float = 0.6
    unsaid: float = 1.0
    unnamed: float = 0.5
    rest: float = 0.9


RATES = Rates()


def view(product: Product, random: np.random.Generator, strength: float, rates: Rates = RATES) -> Product:
    """A random view of a product's text; strength 0 is the product itself.

    Fields are dropped (never the title), attributes dropped or poured into the description, the brand repeated in the
    title, words dropped and sizes rewritten. Where the title names category or attributes, both fields may go, and the
    words that name them. A product that would be left without text is returned as it is. Image and facts stay.

    Args:
        product: cleaned or not.
        random: the dice; the same state gives the same view.
        strength: 0 to 1.
        rates: what strength 1 means.

    Raises:
        ValueError: the strength is out of range.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength={strength} is out of range: choose one from 0 to 1")
    if strength == 0:
        return product
    dice = _Dice(random, strength, rates)
    fewer = dice.fewer_fields(dice.less_said(product))
    seen = msgspec.structs.replace(
        fewer,
        title=dice.text(dice.led(fewer)),
        description=dice.text(fewer.description),
        attributes={name: dice.value(value) for name, value in (fewer.attributes or {}).items()} or None,
    )
    return seen if product_text(seen, TextSpec()).strip() else product


def _said(product: Product) -> Iterator[str]:
    """What category and attributes say in words."""
    yield product.category or ""
    yield from (value for value in (product.attributes or {}).values() if isinstance(value, str))


class _Dice:
    """The random choices of one view."""

    def __init__(self, random: np.random.Generator, strength: float, rates: Rates) -> None:
        self._random = random
        self._strength = strength
        self._rates = rates

    def less_said(self, product: Product) -> Product:
        """Without category and attributes, and maybe without the words of the title that say the same."""
        title, said = product.title or "", Words.of(_said(product))
        if not said.found_in(title):
            return product
        number = self._random.random() / self._strength
        silent = self._fewer_words(said.out_of(title) or "") if number < self._rates.unnamed else title
        less = msgspec.structs.replace(product, title=silent, category=None, attributes=None)
        return less if number < self._rates.unsaid else product

    def fewer_fields(self, product: Product) -> Product:
        """Without some of the fields and attributes."""
        dropped = {name: None for name in OPTIONAL if self._does(self._rates.field)}
        return self._poured(self._fewer_attributes(msgspec.structs.replace(product, **dropped)))

    def led(self, product: Product) -> str | None:
        """The title, maybe with the brand before it."""
        title, brand = product.title, product.brand
        if title and brand and brand.casefold() not in title.casefold() and self._does(self._rates.led):
            return f"{brand} {title}"
        return title

    def text(self, text: str | None) -> str | None:
        """Some words dropped, never all of them, and some sizes rewritten."""
        return self._fewer_tokens(rewritten(text, self._random, self._strength * self._rates.unit)) if text else text

    def value(self, value: Attribute) -> Attribute:
        """Sizes in an attribute rewritten."""
        return rewritten(value, self._random, self._strength * self._rates.unit) if isinstance(value, str) else value

    def _fewer_words(self, text: str) -> str:
        return " ".join(word for word in text.split() if not self._does(self._rates.rest)) or text

    def _fewer_attributes(self, product: Product) -> Product:
        attributes = product.attributes or {}
        kept = {name: value for name, value in attributes.items() if not self._does(self._rates.attribute)}
        return msgspec.structs.replace(product, attributes=kept or None)

    def _poured(self, product: Product) -> Product:
        texts = [value for value in (product.attributes or {}).values() if isinstance(value, str)]
        if not texts or not self._does(self._rates.poured):
            return product
        order = self._random.permutation(len(texts))
        description = " ".join([*filter(None, [product.description]), *(texts[at] for at in order)])
        rest = {name: value for name, value in (product.attributes or {}).items() if not isinstance(value, str)}
        return msgspec.structs.replace(product, description=description, attributes=rest or None)

    def _fewer_tokens(self, text: str) -> str:
        pieces = _PIECES.findall(text)
        kept = "".join(self._piece(piece) for piece in pieces).strip()
        return kept or text

    def _piece(self, piece: str) -> str:
        if _CJK.match(piece):
            return self._fewer_signs(piece)
        coded = any(map(str.isdecimal, piece))
        return "" if self._does(self._rates.code if coded else self._rates.token) else piece

    def _fewer_signs(self, run: str) -> str:
        """A run without some pieces of 1 to ``CJK_RUN`` characters."""
        kept: list[str] = []
        at = 0
        while at < len(run):
            size = int(self._random.integers(1, CJK_RUN + 1))
            kept += [] if self._does(self._rates.token) else [run[at : at + size]]
            at += size
        return "".join(kept)

    def _does(self, rate: float) -> bool:
        return bool(self._random.random() < rate * self._strength)
