"""Rows of CSV files as fields of products."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import TextIOWrapper
from typing import Any, BinaryIO

from producer.columns import Fields
from producer.refusals import BadEvent, short

DELIMITERS = ",;\t|"
NUMBERS = ("price", "version")
FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
LARGEST_CELL = 16 * 1024 * 1024


class Table:
    """A CSV file: its column names, and its rows."""

    def __init__(self, stream: BinaryIO) -> None:
        """Read the header; the delimiter is the one that is most frequent there."""
        csv.field_size_limit(LARGEST_CELL)
        self._text = TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")
        header = self._text.readline()
        self._delimiter = delimiter_of(header)
        self.names = names_of(header)

    def rows(self) -> Iterator[tuple[int, Fields | BadEvent]]:
        """Yield (line on which it starts, the cells that are not empty by column, or why the row cannot be read)."""
        reader = csv.reader(self._text, delimiter=self._delimiter, strict=True)
        while True:
            line = reader.line_num + 2
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, BadEvent("NotCsv", f"row is not CSV ({error}): quote cells with quotes, and double those")
                continue
            if row:
                yield line, self._cells(row)

    def _cells(self, row: list[str]) -> Fields | BadEvent:
        if len(row) != len(self.names):
            return BadEvent("NotCsv", f"row has {len(row)} cells, the header {len(self.names)}: give each column one")
        try:
            "".join(row).encode()
        except UnicodeEncodeError:
            return BadEvent("NotUtf8", f"row={short(row)} is not UTF-8: convert the file to UTF-8")
        return {name: cell for name, cell in zip(self.names, row, strict=True) if cell}


def delimiter_of(header: str) -> str:
    """The delimiter that occurs most often in the first line."""
    return max(DELIMITERS, key=header.count)


def names_of(header: str) -> list[str]:
    """The column names in the first line."""
    cells = next(csv.reader([header], delimiter=delimiter_of(header)), [])
    return [cell.strip() for cell in cells]


def typed(fields: Fields) -> Fields:
    """The fields with numbers and flags where the product has them; a text that is none is left for its refusal."""
    for name in NUMBERS:
        if name in fields:
            fields[name] = _number(fields[name])
    if "available" in fields:
        fields["available"] = FLAGS.get(fields["available"].strip().lower(), fields["available"])
    return fields


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return text if "_" in text else kind(text)
        except ValueError:
            continue
    return text
