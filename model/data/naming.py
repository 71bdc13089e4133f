"""The words by which texts name a value, and texts without them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise

POSSESSIVE = "(?:['\u2019]s)?"
WORD = re.compile(rf"(\w+){POSSESSIVE}\b")
JOINTS = "-/&,"
SHORTEST = 3
"""Characters of a word's singular at least: "ties" is "tie", but not "ti"."""


@dataclass(frozen=True, slots=True)
class Words:
    """Words in singular and plural, however they are hyphenated: "T-shirts", "T shirt" and "tshirt" are one."""

    forms: frozenset[str]

    @classmethod
    def of(cls, values: Iterable[str]) -> Words:
        """The words of values, and each two neighbours as one word."""
        found = (WORD.findall(value) for value in values)
        words = {word for value in found for word in (*value, *map("".join, pairwise(value)))}
        return cls(frozenset(form for word in words for form in forms_of(word)))

    def found_in(self, text: str) -> set[int]:
        """Which words of a text these are, counted from 0."""
        words = WORD.findall(text)
        named = {at for at, word in enumerate(words) if self._have(word)}
        for at, pair in enumerate(pairwise(words)):
            named |= {at, at + 1} if self._have("".join(pair)) else set()
        return named

    def out_of(self, text: str) -> str | None:
        """The text without these words, and without the signs that joined them; None if nothing is left."""
        named, places = self.found_in(text), count()
        kept = WORD.sub(lambda match: " " if next(places) in named else match[0], text)
        return " ".join(part.strip(JOINTS) for part in kept.split() if WORD.search(part)) or None

    def _have(self, word: str) -> bool:
        return not self.forms.isdisjoint(forms_of(word))


def forms_of(word: str) -> Iterator[str]:
    """The word in small letters, and what it may be the plural of."""
    word = word.casefold()
    yield word
    endings = {"s": "", "es": "", "ies": "y"}
    singulars = (word.removesuffix(end) + new for end, new in endings.items() if word.endswith(end))
    yield from (form for form in singulars if len(form) >= SHORTEST and not word.endswith("ss"))
