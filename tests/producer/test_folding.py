"""Partial changes become full states, and a restart does not forget them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from producer.changes import Change
from producer.errors import ProducerError
from producer.events import BadEvent, Deletion, Product
from producer.folding import FoldStore, merged

# The examples of RFC 7386, appendix A: original, patch, result.
RFC_7386: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("state", "patch", "result"), RFC_7386)
def test_merge_patch(state: Any, patch: Any, result: Any) -> None:
    assert merged(state, patch) == result


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "folded.sqlite"


SHOE: dict[str, Any] = {"title": "Red shoe", "price": 59.9, "attributes": {"size": "42", "colour": "red"}}


def test_changes_are_folded(file: Path) -> None:
    with FoldStore(file) as fold:
        fold.upsert("p1", SHOE)
        product = fold.upsert("p1", {"price": None, "brand": "Acme", "attributes": {"size": "43", "colour": None}})

    assert product == Product(id="p1", title="Red shoe", brand="Acme", attributes={"size": "43"})


def test_the_next_start_remembers(file: Path) -> None:
    with FoldStore(file) as fold:
        fold.upsert("p1", SHOE)
        fold.upsert("p2", SHOE)
    with FoldStore(file) as fold:
        assert len(fold) == 2
        assert fold.upsert("p1", {"price": 5}).title == "Red shoe"


def test_a_process_that_dies_remembers(file: Path) -> None:
    FoldStore(file).upsert("p1", SHOE)  # never closed

    with FoldStore(file) as fold:
        assert fold.upsert("p1", {"price": 5}).title == "Red shoe"


def test_after_a_delete_everything_starts_anew(file: Path) -> None:
    with FoldStore(file) as fold:
        fold.upsert("p1", SHOE)
        fold.delete("p1")

        assert fold.upsert("p1", {"title": "Blue shoe"}) == Product(id="p1", title="Blue shoe")


def test_a_change_that_makes_no_product_changes_nothing(file: Path) -> None:
    with FoldStore(file) as fold:
        fold.upsert("p1", SHOE)
        with pytest.raises(BadEvent, match="price=-1"):
            fold.upsert("p1", {"price": -1, "brand": "Acme"})

        assert fold.upsert("p1", {}) == Product(id="p1", **SHOE)


def test_the_id_of_the_change_counts(file: Path) -> None:
    with FoldStore(file) as fold:
        assert fold.upsert("p1", {**SHOE, "id": "p2"}).id == "p1"
        with pytest.raises(BadEvent, match="id is missing"):
            fold.upsert("", SHOE)


def test_a_recorded_change_is_applied(file: Path) -> None:
    with FoldStore(file) as fold:
        assert fold.apply(Change(0.0, "upsert", "p1", SHOE)) == Product(id="p1", **SHOE)
        assert fold.apply(Change(0.0, "delete", "p1", {})) == Deletion("p1")
        assert len(fold) == 0


def test_trying_out_keeps_nothing(file: Path) -> None:
    with FoldStore(file) as fold:
        fold.upsert("p1", SHOE)
    with FoldStore(file, keep=False) as fold:
        fold.delete("p1")
        fold.upsert("p2", SHOE)
        assert len(fold) == 1
    with FoldStore(file) as fold:
        assert fold.upsert("p1", {}).title == "Red shoe"
        assert len(fold) == 1


def test_bottomless_nesting_is_refused(file: Path) -> None:
    deep: dict[str, Any] = {}
    for _ in range(10_000):
        deep = {"a": deep}
    with FoldStore(file) as fold, pytest.raises(BadEvent, match="nested too deeply"):
        fold.upsert("p1", {**SHOE, "stock": deep})


def test_a_file_of_something_else_is_left_alone(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("a diary, which is not a database")

    with pytest.raises(ProducerError, match=r"folded\.sqlite cannot be used"):
        FoldStore(file)
    assert file.read_text().startswith("a diary")


def test_a_file_that_another_process_holds_is_named(file: Path) -> None:
    with FoldStore(file) as fold:
        fold.upsert("p1", SHOE)
        fold._database.execute("PRAGMA busy_timeout=0")
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ProducerError, match="locked"):
            fold.upsert("p1", {"price": 1})
        other.close()
