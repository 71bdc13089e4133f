"""Cleaning of products to train with, beyond what every event goes through."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

import ftfy
import msgspec

from model.data.boilerplate import without_boilerplate
from model.data.units import unified
from producer.cleaning import cleaned
from producer.product import Attribute, Product

PASSES = 16
"""Times that a text is cleaned again because the last time uncovered something."""
CACHED = 8192
"""Names and values of attributes whose cleaning is remembered."""
PLACEHOLDERS = frozenset(
    {"n/a", "none", "null", "nil", "unknown", "other", "-", "--", "does not apply", "unbranded"}
    | {"其他", "其它", "无", "other/其他", "未知", "暂无"}
)
"""Brands and attribute values that stand for nothing, in lower case."""
MIN_WORDS = 3
MIN_SIGNS = 8
"""A title with fewer words, and fewer characters where it has no spaces, is a word of a description rather than a repeat."""

# What has one meaning in both widths or forms is folded; superscripts, fractions and circled numbers would change meaning.
_SAFE = (
    "<wide>",
    "<narrow>",
    "<square>",
    "<compat>",
    "<font>",
    "<noBreak>",
    "<initial>",
    "<medial>",
    "<final>",
    "<isolated>",
)
_SIGNS = r" |:;,.\-\u2013\u2014"
_MARKS = "®™©℠"
_MOJIBAKE = ftfy.TextFixerConfig(unescape_html=False, normalization=None, fix_character_width=False)


def clean(product: Product, *, keep_repeats: bool = False) -> Product:
    """The product with every text in one writing; cleaning it again changes nothing. Case is kept.

    All texts: HTML, broken encodings, compatible characters, white space and control characters. Title, description
    and attributes: sizes with units (``units``). Title and description: boilerplate. A title that is written twice is
    written once, and one that the description repeats is taken out of that. Placeholders for nothing are dropped.

    Args:
        product: as its shop wrote it.
        keep_repeats: leave the title in the description: lexical search, which counts words, ranks better with it.
    """
    title = _settled(_title, product.title)
    repeated = None if keep_repeats else title
    return msgspec.structs.replace(
        product,
        title=title,
        description=_settled(lambda text: _without(repeated, _shop_text(text)), product.description),
        brand=_known(_line(product.brand)),
        category=_line(product.category),
        attributes=_attributes(product.attributes or {}),
    )


def clean_text(text: str) -> str:
    """A text by itself, cleaned as a title is, except for repeats."""
    return _settled(_shop_text, text) or ""


def _settled(step: Callable[[str], str], text: str | None) -> str | None:
    """The text after the step, again until it stays the same; None when nothing is left."""
    for _ in range(PASSES):
        before, text = text, step(text) if text else None
        if text == before:
            break
    return text or None


def _plain(text: str) -> str:
    """One pass over characters and markup."""
    if text.isascii():
        return cleaned(text)
    fixed = ftfy.fix_text(text, _MOJIBAKE).translate(_FOLDING)
    return cleaned(unicodedata.normalize("NFC", fixed))


def _sized(text: str) -> str:
    return unified(_plain(text))


def _shop_text(text: str) -> str:
    return without_boilerplate(_sized(text))


def _title(text: str) -> str:
    return _once(_shop_text(text))


def _once(title: str) -> str:
    """A title of two equal halves as one of them, whatever sign is between."""
    words = title.split()
    half = len(words) // 2
    middle = words[half : len(words) - half]
    twice = half > 1 and [word.casefold() for word in words[:half]] == [word.casefold() for word in words[-half:]]
    return " ".join(words[:half]) if twice and not any(map(str.isalnum, "".join(middle))) else title


def _without(title: str | None, description: str) -> str:
    if title is None:
        return description
    if description.casefold() == title.casefold():
        return ""
    short = len(title.split()) < MIN_WORDS and len(title) < MIN_SIGNS
    if short or title.lower() not in description.lower():
        return description
    repeat = re.compile(rf"(?<![A-Za-z0-9]){re.escape(title)}(?![A-Za-z0-9])[{_SIGNS}]*", re.IGNORECASE)
    return " ".join(repeat.sub(" ", description).split())


def _known(text: str | None) -> str | None:
    return None if text is None or text.casefold() in PLACEHOLDERS else text


def _attributes(attributes: dict[str, Attribute]) -> dict[str, Attribute] | None:
    result: dict[str, Attribute] = {}
    for name, value in attributes.items():
        key, kept = _line(name), _value(value)
        if key and kept is not None:
            result.setdefault(key, kept)
    return result or None


def _value(value: Attribute) -> Attribute | None:
    if isinstance(value, list):
        texts = (_sized_line(text) for text in value)
        return [text for text in texts if text] or None
    return _sized_line(value) if isinstance(value, str) else value


@lru_cache(CACHED)
def _line(text: str | None) -> str | None:
    """A name, which many products share."""
    return _settled(_plain, text)


@lru_cache(CACHED)
def _sized_line(text: str) -> str | None:
    """An attribute's value, which many products share."""
    return _known(_settled(_sized, text))


class _Folding(dict[int, str]):
    """For ``str.translate``: what each character becomes, looked up once."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        kind, _, rest = unicodedata.decomposition(sign).partition(" ")
        safe = kind in _SAFE and not rest.startswith("0020")
        self[code] = " " if sign in _MARKS else unicodedata.normalize("NFKC", sign) if safe else sign
        return self[code]


_FOLDING = _Folding()
