"""Cleaning of text that people see and encoders read: HTML, control characters, white space."""

from __future__ import annotations

import html
import re

_SUSPECT = re.compile(
    r"[<&\x00-\x1f\x7f-\x9f\xa0\xad\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]|  |^ | $"
)
_SCRIPT = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<![^<>]*>")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_INVISIBLE = re.compile(r"[\xad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def cleaned(text: str) -> str:
    """The text without HTML tags and entities, control and invisible characters, and repeated white space.

    A lone ``<`` or ``&`` stays: "5 < 6" and "AT&T" are text. An entity must end in a semicolon to count as one.
    """
    if _SUSPECT.search(text) is None:
        return text
    if "<" in text or "&" in text:
        text = _without_tags(_ENTITY.sub(_unescaped, _without_tags(text)))
    text = _CONTROL.sub(" ", _INVISIBLE.sub("", text))
    return " ".join(text.split())


def _without_tags(text: str) -> str:
    return _TAG.sub(" ", _SCRIPT.sub(" ", text)) if "<" in text else text


def _unescaped(match: re.Match[str]) -> str:
    return html.unescape(match.group())
