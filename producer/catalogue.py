"""Readers of catalogues: JSON Lines, a JSON array, or CSV, each maybe gzipped; bad entries are named by line."""

from __future__ import annotations

import codecs
import gzip
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from io import BufferedReader, RawIOBase, TextIOWrapper
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from producer.columns import Columns, Fields, columns_of
from producer.envelopes import parsed
from producer.errors import ProducerError
from producer.json_array import BrokenArray, elements
from producer.refusals import BadEvent, not_an_object
from producer.tables import Table, names_of, typed

TABLES = (".csv", ".tsv")
HEAD_BYTES = 64 * 1024
"""As much of the first line is looked at to tell the format."""


class Entry(msgspec.Struct, frozen=True):
    """One entry of a file: what it holds, or the error that kept it from being read."""

    file: str
    line: int
    content: Fields | BadEvent

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.file}:{self.line}"

    def fields(self) -> Fields:
        """What it holds.

        Raises:
            BadEvent: it could not be read.
        """
        if isinstance(self.content, BadEvent):
            raise self.content
        return self.content


def read_catalogue(file: Path, mapping: Mapping[str, str], attributes: Sequence[str]) -> Iterator[Entry]:
    """Read a file, ``-`` for standard input; the format is known by its first character, its name or its header.

    Nothing is held in memory but the entry at hand, of a JSON array too.

    Args:
        file: the file.
        mapping: product field -> column of the file; ``attributes.NAME`` maps an attribute.
        attributes: columns that become attributes under their own name.

    Raises:
        ProducerError: the file cannot be read, or lacks a column that was asked for.
    """
    try:
        with _opened(file) as stream:
            yield from _entries(file, stream, columns_of(mapping, attributes))
    except (OSError, EOFError, zlib.error) as error:
        raise ProducerError(f"{file} cannot be read: {error}") from error


def _opened(file: Path) -> AbstractContextManager[BufferedReader]:
    if str(file) == "-":
        return nullcontext(cast("BufferedReader", sys.stdin.buffer))
    return cast("BufferedReader", gzip.open(file)) if file.suffix == ".gz" else file.open("rb")


def _entries(file: Path, stream: BufferedReader, columns: Columns) -> Iterator[Entry]:
    head = _head(stream)
    whole = cast("BinaryIO", BufferedReader(_Rewound(head, stream)))
    if _is_table(file, head, columns):
        yield from _table(str(file), whole, columns)
    elif head.lstrip().startswith(b"["):
        yield from _array(str(file), whole, columns)
    else:
        for number, line in enumerate(whole, start=1):
            if line.strip():
                yield _entry(str(file), number, line, columns)


def _head(stream: BufferedReader) -> bytes:
    """The first line that is not empty, and the empty ones before it."""
    head = stream.readline(HEAD_BYTES).removeprefix(codecs.BOM_UTF8)
    while not head.strip():
        more = stream.readline(HEAD_BYTES)
        if not more:
            break
        head += more
    return head


def _is_table(file: Path, head: bytes, columns: Columns) -> bool:
    name = file.with_suffix("") if file.suffix == ".gz" else file
    if name.suffix.lower() in TABLES:
        return True
    header = head.decode(errors="replace").strip()
    return not header.startswith(("{", "[")) and columns.fields.get("id", "id") in names_of(header)


def _table(file: str, stream: BinaryIO, columns: Columns) -> Iterator[Entry]:
    table = Table(stream)
    missing = sorted(columns.named() - set(table.names))
    if missing:
        raise ProducerError(f"{file} has no column {missing[0]!r}: it has {', '.join(table.names)}")
    if table.names and "id" not in {*table.names, *columns.fields}:
        have, first = ", ".join(table.names), table.names[0]
        raise ProducerError(f"{file} has no column 'id': it has {have}; say which it is, such as --map id={first}")
    for line, row in table.rows():
        yield Entry(file, line, row if isinstance(row, BadEvent) else typed(columns.rename(row)))


def _array(file: str, stream: BinaryIO, columns: Columns) -> Iterator[Entry]:
    try:
        for line, text in elements(TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")):
            yield _entry(file, line, text.encode(errors="surrogateescape"), columns)
    except BrokenArray as broken:
        yield Entry(file, broken.line, BadEvent("NotJson", str(broken)))


def _entry(file: str, line: int, text: bytes, columns: Columns) -> Entry:
    try:
        fields = parsed(text)
        if not isinstance(fields, dict):
            return Entry(file, line, not_an_object(fields))
    except BadEvent as bad:
        return Entry(file, line, bad)
    return Entry(file, line, columns.rename(fields))


class _Rewound(RawIOBase):
    """A stream with what was already read put back in front."""

    def __init__(self, head: bytes, stream: BufferedReader) -> None:
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # any writable buffer
        """Give what is there, from the head first; a slow pipe is not waited for to fill the buffer."""
        data = self._head[: len(buffer)] or self._stream.read1(len(buffer))
        self._head = self._head[len(data) :] if self._head else b""
        buffer[: len(data)] = data
        return len(data)
