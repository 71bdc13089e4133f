"""The elements of a JSON array, one after another, however large the array is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TextIO

CHUNK = 1024 * 1024
LARGEST_ELEMENT = 16 * CHUNK
"""Characters of one element beyond which the array counts as broken, rather than as not yet read to the end."""


class BrokenArray(ValueError):
    """The text stops being a JSON array at this line; what came before it is sound."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def elements(stream: TextIO, chunk: int = CHUNK) -> Iterator[tuple[int, str]]:
    """Yield each element of the array as (line on which it starts, its text).

    Raises:
        BrokenArray: the text is not an array, or breaks off.
    """
    window = _Window(stream, chunk)
    window.expect("[")
    if window.next_sign() != "]":
        yield window.element()
        while window.next_sign() == ",":
            window.expect(",")
            yield window.element()
    window.expect("]")
    if window.next_sign():
        raise window.broken("there is more after the end of the array")


class _Window:
    """The part of the text that is in memory."""

    def __init__(self, stream: TextIO, chunk: int) -> None:
        self._stream = stream
        self._chunk = chunk
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0
        self._line = 1

    def next_sign(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            rest = self._text[self._at : self._at + 1]
            if rest and not rest.isspace():
                return rest
            if rest:
                self._move(self._at + 1)
            elif not self._read():
                return ""

    def expect(self, sign: str) -> None:
        """Step over a sign."""
        found = self.next_sign()
        if found != sign:
            raise self.broken(f"expected {sign!r}, found {found!r}")
        self._move(self._at + 1)

    def element(self) -> tuple[int, str]:
        """Step over an element."""
        self.next_sign()
        while True:
            end = self._end_of_element()
            if end is not None:
                line, text = self._line, self._text[self._at : end]
                self._move(end)
                return line, text

    def broken(self, message: str) -> BrokenArray:
        """What is wrong here."""
        return BrokenArray(self._line, f"{message}; the rest of the file is left out")

    def _end_of_element(self) -> int | None:
        """Where the element ends; None when more of the text had to be read."""
        try:
            _, end = self._decode(self._text, self._at)
        except RecursionError as error:
            raise self.broken(str(error)) from None
        except json.JSONDecodeError as error:
            if self._reads_on():
                return None
            raise self.broken(error.msg) from None
        # A number that was cut where reading stopped, such as 1 of 1.5, looks like a whole one.
        cut = self._text[end : end + 1] in ".eE"
        return None if cut and self._reads_on() else end

    def _reads_on(self) -> bool:
        return len(self._text) - self._at < LARGEST_ELEMENT and self._read()

    def _read(self) -> bool:
        """Read as much again as is waiting, so that a long element is not looked at too often."""
        more = self._stream.read(max(self._chunk, len(self._text) - self._at))
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(more)

    def _move(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = end
