"""Cleaning of text that people see and encoders read: HTML, control characters, white space."""

from __future__ import annotations

import html
import re
from html.entities import html5

PASSES = 8
"""Times that markup hidden in escapes of escapes is unwrapped before its signs are taken away."""

_SUSPECT = re.compile(
    r"[<&\x00-\x1f\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff9-\ufffb]"
    r"|  |^ | $"
)
_SPACES = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_INVISIBLE = re.compile(r"[\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
# A joiner means something inside emoji and scripts such as Persian, and nothing beside ASCII.
_LONE_JOINER = re.compile(r"(?<![^\x00-\x7f])[\u200c\u200d]+|[\u200c\u200d]+(?![^\x00-\x7f])")
# What is never closed swallows the rest, as in a browser; this also keeps the search linear.
_HIDDEN = re.compile(r"<(script|style)\b[^<>]*>.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<[!?][^<>]*>")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_MARKUP = re.compile(r"[<>&]")


def cleaned(text: str) -> str:
    """The text without HTML tags and entities, control and invisible characters, and repeated white space.

    A lone ``<`` or ``&`` stays: "5 < 6" and "AT&T" are text. An entity must end in a semicolon to count as one.
    Cleaning a cleaned text changes nothing.
    """
    if _is_plain(text) or _SUSPECT.search(text) is None:
        return text
    for _ in range(PASSES):
        before, text = text, _pass(text)
        if text == before:
            return text
    return _pass(_MARKUP.sub(" ", text))


def _is_plain(text: str) -> bool:
    """Printable ASCII without anything to clean: the common case, several times faster than the search."""
    return (
        text.isascii()
        and text.isprintable()
        and "<" not in text
        and "&" not in text
        and "  " not in text
        and not text.startswith(" ")
        and not text.endswith(" ")
    )


def _pass(text: str) -> str:
    text = _LONE_JOINER.sub("", _INVISIBLE.sub("", _SPACES.sub(" ", text)))
    if "<" in text:
        text = _TAG.sub(" ", _HIDDEN.sub(" ", text))
    if "&" in text:
        text = _ENTITY.sub(_unescaped, text)
    return " ".join(text.split())


def _unescaped(match: re.Match[str]) -> str:
    name = match.group()[1:]
    return html.unescape(match.group()) if name.startswith("#") or name in html5 else match.group()
