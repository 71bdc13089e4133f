"""Readers of catalogues: what is good is read, what is bad is named by its line, and the rest goes on."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from producer.catalogue import Entry, read_catalogue
from producer.errors import ProducerError
from producer.refusals import BadEvent

Write = Callable[[str, bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: bytes) -> Path:
        file = tmp_path / name
        file.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return file

    return write


def outcomes(entries: list[Entry]) -> list[tuple[int, Any]]:
    """Line, and the fields or the reason of the refusal."""
    return [(entry.line, content_of(entry)) for entry in entries]


def content_of(entry: Entry) -> Any:
    return entry.content.reason if isinstance(entry.content, BadEvent) else entry.content


def read(file: Path, mapping: dict[str, str] | None = None, attributes: tuple[str, ...] = ()) -> list[tuple[int, Any]]:
    return outcomes(list(read_catalogue(file, mapping or {}, attributes)))


LINES = b'\xef\xbb\xbf\n{"id":"a"}\n\nbad\n[1]\n{"id":"\xff"}\n{"id":"b"}'
LINES_READ = [(2, {"id": "a"}), (4, "NotJson"), (5, "UnknownFormat"), (6, "NotUtf8"), (7, {"id": "b"})]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a"])
def test_json_lines(write: Write, name: str) -> None:
    assert read(write(name, LINES)) == LINES_READ


ARRAY = b'\n [ {"id":"a"},\n 5 , {"id":"\xff"},\n{"id":"b",\n"x":[1,2]},NaN\n]\n'
ARRAY_READ = [
    (2, {"id": "a"}),
    (3, "UnknownFormat"),
    (3, "NotUtf8"),
    (4, {"id": "b", "x": [1, 2]}),
    (5, "NotJson"),
]


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.jsonl"])
def test_json_array(write: Write, name: str) -> None:
    assert read(write(name, ARRAY)) == ARRAY_READ


@pytest.mark.parametrize(
    ("text", "before"),
    [
        (b'[{"id":"a"},\n{"id":"b"} {"id":"c"}]', [(1, {"id": "a"}), (2, {"id": "b"})]),
        (b'[{"id":"a"},\n', [(1, {"id": "a"})]),
        (b'[{"id":"a"},\n]', [(1, {"id": "a"})]),
        (b'[{"id":"a"}\n] x', [(1, {"id": "a"})]),
        (b'[{"id":"a"},\n{"id":', [(1, {"id": "a"})]),
        (b'[{"id":"a"},\n' + b"[" * 100_000, [(1, {"id": "a"})]),
    ],
)
def test_what_stands_before_the_fault_of_an_array_is_read(write: Write, text: bytes, before: list[Any]) -> None:
    assert read(write("a.json", text)) == [*before, (2, "NotJson")]


def test_an_empty_array_and_an_empty_file_hold_nothing(write: Write) -> None:
    assert read(write("a.json", b" [ ] ")) == []
    assert read(write("b.json", b"")) == []
    assert read(write("c.csv", b"")) == []


TABLE = (
    b'\xef\xbb\xbfid;name;Size;price\n1;"a\nb";L;5\n2;x;;1_0\n3;y\n4;"q"z;S;1\n5;ok;M;9.5\n\n6;\xff;;\n'
    b'7;"say ""hi""; now";;\n8;"open;S;1\n'
)


def test_csv(write: Write) -> None:
    read_rows = read(write("a.csv.gz", TABLE), {"title": "name", "attributes.size": "Size"})

    assert [line for line, _ in read_rows] == [2, 4, 5, 6, 7, 9, 10, 11]
    rows = dict(read_rows)
    assert rows[2] == {"id": "1", "name": "a\nb", "title": "a\nb", "Size": "L", "attributes": {"size": "L"}, "price": 5}
    assert rows[4]["price"] == "1_0", "no number: the rules of the product refuse it by name"
    assert rows[7]["price"] == 9.5
    assert rows[10] == {"id": "7", "name": 'say "hi"; now', "title": 'say "hi"; now'}
    assert [rows[line] for line in (5, 6, 9, 11)] == ["NotCsv", "NotCsv", "NotUtf8", "NotCsv"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(write: Write, delimiter: str) -> None:
    text = f"id{delimiter} title {delimiter}available\n1{delimiter}x{delimiter}No\n"

    assert read(write("a.csv", text.encode())) == [(2, {"id": "1", "title": "x", "available": False})]


def test_csv_is_known_by_its_header_too(write: Write) -> None:
    assert read(write("catalogue.txt", b"id,title\n1,x\n")) == [(2, {"id": "1", "title": "x"})]
    assert read(write("sku.txt", b"sku,title\n1,x\n"), {"id": "sku"}) == [(2, {"sku": "1", "id": "1", "title": "x"})]
    assert read(write("words.txt", b"red,shoe\n")) == [(1, "NotJson")]


def test_a_missing_column_is_named(write: Write) -> None:
    with pytest.raises(ProducerError, match=r"a\.csv has no column 'nme': it has id, name"):
        read(write("a.csv", b"id,name\n1,x\n"), {"title": "nme"})
    with pytest.raises(ProducerError, match="no column 'size'"):
        read(write("a.csv", b"id,name\n1,x\n"), {}, ("size",))


def test_columns_are_mapped_in_json_too(write: Write) -> None:
    file = write("a.jsonl", b'{"id":"1","name":"x","size":42,"attributes":{"colour":"red"}}\n{"id":"2"}\n')

    assert read(file, {"title": "name"}, ("size",)) == [
        (
            1,
            {
                "id": "1",
                "name": "x",
                "title": "x",
                "size": 42,
                "attributes": {"colour": "red", "size": 42},
            },
        ),
        (2, {"id": "2"}),
    ]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b'{"id":"a"}\nbad\n'))
    monkeypatch.setattr(sys, "stdin", stdin)

    entries = list(read_catalogue(Path("-"), {}, []))

    assert outcomes(entries) == [(1, {"id": "a"}), (2, "NotJson")]
    assert entries[1].place == "-:2"
    assert not stdin.buffer.closed


def test_a_pipe_that_goes_on_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdin", stdin)
        pipe.write(b'{"id":"a"}\n{"id":"b"}\n')
        entries = read_catalogue(Path("-"), {}, [])

        assert outcomes([next(entries), next(entries)]) == [(1, {"id": "a"}), (2, {"id": "b"})]


def test_an_entry_that_could_not_be_read_says_why(write: Write) -> None:
    (entry,) = read_catalogue(write("a.jsonl", b"bad"), {}, [])

    with pytest.raises(BadEvent, match="is not JSON"):
        entry.fields()


@pytest.mark.parametrize("damage", ["cut", "flipped", "not gzip"])
def test_a_damaged_archive_is_one_error(tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(json.dumps(list(range(10_000))).encode()))
    packed[40] ^= 0xFF if damage == "flipped" else 0
    file = tmp_path / "a.json.gz"
    file.write_bytes(b"plain" if damage == "not gzip" else packed[:-20] if damage == "cut" else packed)

    with pytest.raises(ProducerError, match=r"a\.json\.gz cannot be read"):
        read(file)


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ProducerError, match="cannot be read"):
        read(tmp_path / "none.jsonl")
