"""Readers of catalogues: JSON Lines, a JSON array, or CSV, each maybe gzipped; bad entries are named by line."""

from __future__ import annotations

import csv
import gzip
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from producer.errors import ProducerError

NUMBERS = ("price", "version")
FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
ATTRIBUTE = "attributes."

Fields = dict[str, Any]


class Entry(msgspec.Struct, frozen=True):
    """One entry of a file: ``fields`` as read, or the ``error`` that kept it from being read."""

    file: str
    line: int
    fields: Fields | None = None
    error: str | None = None


def read_catalogue(file: Path, mapping: Mapping[str, str], attributes: Sequence[str]) -> Iterator[Entry]:
    """Read a file, ``-`` for standard input; the format is known by its first character and its name.

    Args:
        file: the file.
        mapping: product field -> column of the file; ``attributes.NAME`` maps an attribute.
        attributes: columns that become attributes under their own name.

    Raises:
        ProducerError: the file cannot be read.
    """
    try:
        with _opened(file) as stream:
            yield from _entries(file, stream, mapping, attributes)
    except (OSError, EOFError) as error:
        raise ProducerError(f"{file} cannot be read: {error}") from error


def _opened(file: Path) -> BinaryIO:
    if str(file) == "-":
        return sys.stdin.buffer
    return cast("BinaryIO", gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def _entries(file: Path, stream: BinaryIO, mapping: Mapping[str, str], attributes: Sequence[str]) -> Iterator[Entry]:
    if file.suffixes[-1:] == [".csv"] or file.suffixes[-2:] == [".csv", ".gz"]:
        yield from _csv(str(file), stream, mapping, attributes)
        return
    renamed = _renamer(mapping, attributes)
    first = stream.readline()
    if first.lstrip().startswith(b"["):
        yield from _array(str(file), first + stream.read(), renamed)
        return
    yield from _lines(str(file), first, stream, renamed)


def _lines(file: str, first: bytes, stream: BinaryIO, renamed: Callable[[Fields], Fields]) -> Iterator[Entry]:
    number, line = 1, first
    while line:
        if line.strip():
            yield _parsed(file, number, line, renamed)
        number, line = number + 1, stream.readline()


def _array(file: str, text: bytes, renamed: Callable[[Fields], Fields]) -> Iterator[Entry]:
    """The whole array is held in memory; a catalogue too large for that is better sent as JSON Lines."""
    try:
        entries = msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        yield Entry(file, 1, error=f"not a JSON array ({error})")
        return
    line, searched = 1, 0
    for entry in entries:
        raw = bytes(entry)
        found = text.find(raw, searched)
        line += text.count(b"\n", searched, found)
        searched = found
        yield _parsed(file, line, raw, renamed)


def _parsed(file: str, number: int, line: bytes, renamed: Callable[[Fields], Fields]) -> Entry:
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Entry(file, number, error=f"not JSON ({error})")
    if not isinstance(fields, dict):
        return Entry(file, number, error=f"not a JSON object but a {type(fields).__name__}")
    return Entry(file, number, renamed(fields))


def _csv(file: str, stream: BinaryIO, mapping: Mapping[str, str], attributes: Sequence[str]) -> Iterator[Entry]:
    text = TextIOWrapper(stream, "utf-8-sig", errors="strict", newline="")
    header = text.readline()
    delimiter = max(",;\t|", key=header.count)
    names = next(csv.reader([header], delimiter=delimiter), [])
    _check_columns(file, names, mapping, attributes)
    renamed = _renamer(mapping, attributes)
    rows = csv.reader(text, delimiter=delimiter)
    try:
        for row in rows:
            if row:
                yield _csv_entry(file, rows.line_num + 1, dict(zip(names, row, strict=False)), renamed)
    except (UnicodeDecodeError, csv.Error) as error:
        yield Entry(
            file, rows.line_num + 2, error=f"not readable as UTF-8 CSV ({error}); the rest of the file is left out"
        )


def _check_columns(file: str, names: Sequence[str], mapping: Mapping[str, str], attributes: Sequence[str]) -> None:
    unknown = sorted({*mapping.values(), *attributes} - set(names))
    if unknown:
        raise ProducerError(f"{file} has no column {unknown[0]!r}: it has {', '.join(names)}")


def _csv_entry(file: str, number: int, row: dict[str, str], renamed: Callable[[Fields], Fields]) -> Entry:
    fields = renamed({name: value for name, value in row.items() if value != ""})
    for name in NUMBERS:
        if name in fields:
            fields[name] = _number(fields[name])
    if "available" in fields:
        fields["available"] = FLAGS.get(fields["available"].strip().lower(), fields["available"])
    return Entry(file, number, fields)


def _number(text: str) -> Any:
    """A number where the text is one; else the text, which the rules of the product then refuse by name."""
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def _renamer(mapping: Mapping[str, str], attributes: Sequence[str]) -> Callable[[Fields], Fields]:
    if not mapping and not attributes:
        return lambda fields: fields
    named = {field: column for field, column in mapping.items() if not field.startswith(ATTRIBUTE)}
    columns = {name: name for name in attributes}
    columns |= {f.removeprefix(ATTRIBUTE): column for f, column in mapping.items() if f.startswith(ATTRIBUTE)}

    def renamed(fields: Fields) -> Fields:
        result = fields | {field: fields[column] for field, column in named.items() if column in fields}
        found = {name: fields[column] for name, column in columns.items() if column in fields}
        return result | ({"attributes": found} if found else {})

    return renamed
