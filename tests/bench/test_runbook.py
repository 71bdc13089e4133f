"""The reader of runbooks and vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runbook import Runbook, RunbookError, Step, read_runbook, read_vectors, write_runbook

SMALL = """
small:
  max_pts: 30
  1:
    operation: "insert"
    start: 0
    end: 20
  2:
    operation: "search"
  3:
    end: 5
    operation: delete
    start: 0
  4:
    ids_end: 30
    ids_start: 20
    operation: replace
    tags_end: 15
    tags_start: 5
  5:
    operation: "search"
  gt_url: "https://example.org/small"
"""
NOTHING = range(0)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    file = tmp_path / "book.yaml"
    file.write_text(SMALL)
    return file


def test_the_format_of_big_ann_benchmarks(book: Path) -> None:
    runbook = read_runbook(book)
    assert runbook == Runbook(
        "small",
        30,
        (
            Step(1, "insert", range(20), range(20)),
            Step(2, "search", NOTHING, NOTHING),
            Step(3, "delete", range(5), NOTHING),
            Step(4, "replace", range(5, 15), range(20, 30)),
            Step(5, "search", NOTHING, NOTHING),
        ),
    )
    assert (runbook.rows, runbook.tags) == (30, 20)


def test_what_is_written_is_read_again(book: Path, tmp_path: Path) -> None:
    runbook = read_runbook(book)
    write_runbook(runbook, tmp_path / "again.yaml")
    assert read_runbook(tmp_path / "again.yaml") == runbook


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("operation: delete", "operation: remove", "small, step 3, operation: 'remove': write one of insert, delete"),
        ("end: 20", "end: soon", "small, step 1, end: 'soon': write a whole number of at least 0"),
        ("    start: 0\n    end: 20", "    end: 20", "small, step 1, start: None: write a whole number"),
        ("start: 0\n    end: 20", "start: 21\n    end: 20", "small, step 1, end: 20: is below its start 21"),
        ("ids_end: 30", "ids_end: 29", "small, step 4, ids_end: 29: makes 9 ids for 10 tags"),
        ("  3:\n", "  6:\n", "small, steps: 3: is missing: number the steps 1, 2, …"),
        ("max_pts: 30", "max_pts: 10", "small, step 1, max_pts: 10: 20 products are alive after this step"),
        ("max_pts: 30", "max_pts: true", "small, max_pts: True: write a whole number of at least 1"),
        ("small:", "- small:", "list at the top: start with the name of a data set"),
        ("small:", "small: {", "write valid YAML"),
    ],
)
def test_a_wrong_runbook_is_refused_in_one_line(book: Path, old: str, new: str, message: str) -> None:
    assert old in SMALL
    book.write_text(SMALL.replace(old, new))
    with pytest.raises(RunbookError) as refused:
        read_runbook(book)
    assert message in str(refused.value)
    assert str(refused.value).startswith(str(book))
    assert "\n" not in str(refused.value)


def test_one_of_several_data_sets_is_chosen_by_name(book: Path) -> None:
    book.write_text(SMALL + SMALL.replace("small:", "other:"))
    assert read_runbook(book, "other").dataset == "other"
    with pytest.raises(RunbookError, match="several data sets: choose one of small, other with --dataset"):
        read_runbook(book)
    with pytest.raises(RunbookError, match="no data set 'third': choose one of small, other"):
        read_runbook(book, "third")


def test_a_missing_runbook(tmp_path: Path) -> None:
    with pytest.raises(RunbookError, match="No such file or directory: name a runbook"):
        read_runbook(tmp_path / "none.yaml")


@pytest.mark.parametrize(("ending", "dtype"), [(".fbin", np.float32), (".u8bin", np.uint8), (".i8bin", np.int8)])
def test_binary_vectors_have_a_header(tmp_path: Path, ending: str, dtype: type) -> None:
    raw = np.array([[3, 4], [0, 2], [1, 0]], dtype)
    file = tmp_path / f"vectors{ending}"
    file.write_bytes(np.array(raw.shape, np.uint32).tobytes() + raw.tobytes())
    vectors = read_vectors(file, 2)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 1]], rtol=1e-6)


def test_numpy_vectors(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", np.array([[0.0, 5.0], [2.0, 0.0]]))
    np.testing.assert_array_equal(read_vectors(tmp_path / "vectors.npy", None), np.array([[0, 1], [1, 0]], np.float32))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("short.fbin", np.array([9, 9], np.uint32).tobytes(), "8 bytes, and its header asks for 332"),
        ("empty.u8bin", b"", "0 bytes"),
        ("text.npy", b"text", "write it with numpy.save"),
        ("vectors.csv", b"1,2", "unknown ending '.csv': use .npy, .fbin, .u8bin, .i8bin"),
    ],
)
def test_files_that_hold_no_vectors(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RunbookError) as refused:
        read_vectors(tmp_path / name, 1)
    assert message in str(refused.value)


def test_vectors_without_direction_and_too_few_of_them(tmp_path: Path) -> None:
    file = tmp_path / "vectors.npy"
    np.save(file, np.array([[1, 0], [0, 0]], np.float32))
    with pytest.raises(RunbookError, match="row 1 is zero or not finite"):
        read_vectors(file, 2)
    with pytest.raises(RunbookError, match="2 vectors, and the runbook needs 3"):
        read_vectors(file, 3)
