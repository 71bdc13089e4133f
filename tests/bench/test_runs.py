"""The commands, end to end, on what a second is enough for."""

from __future__ import annotations

import json
from pathlib import Path

import engine
import numpy as np
import phases
import pytest
import runbooks
import typer
from report import draw
from runbook import write_runbook
from streams import STREAMS
from trial import Point
from typer.testing import CliRunner, Result


def invoke(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(runbooks.main)
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def written(tmp_path: Path) -> list[str]:
    stream = STREAMS["delete-heavy"](200, 1)
    write_runbook(stream.runbook, tmp_path / "book.yaml")
    np.save(tmp_path / "vectors.npy", stream.vectors)
    return [str(tmp_path / "book.yaml"), "--vectors", str(tmp_path / "vectors.npy")]


def test_a_runbook_gives_a_row_for_each_search_and_contender(written: list[str]) -> None:
    names = ["engine", "hnswlib", "own-list-only", "one-product"]
    done = invoke(*written, "--json", *(word for name in names for word in ("--contender", name)))
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["contender"] for row in rows] == names * 7
    assert [row["live"] for row in rows[::4]] == [200, 160, 120, 80, 40, 40, 80]
    last = {row["contender"]: row for row in rows[-4:]}
    assert last["engine"]["list_recall"] >= 0.99
    assert last["one-product"]["list_recall"] == last["one-product"]["query_recall"] == 1.0
    assert last["own-list-only"]["list_recall"] < 0.9
    assert last["hnswlib"]["list_recall"] is None
    assert last["hnswlib"]["distances_per_event"] is None
    assert all(row["ms_per_event"] > 0 for row in rows)


def test_a_table_for_people(written: list[str]) -> None:
    done = invoke(*written, "--contender", "engine")
    assert done.exit_code == 0, done.output
    assert "delete-heavy: 14 steps" in done.stdout
    assert done.stdout.count("engine") == 7


def test_generated_streams_without_a_file() -> None:
    done = invoke("--products", "100", "--contender", "one-product", "--json")
    assert done.exit_code == 0, done.output
    assert {json.loads(line)["dataset"] for line in done.stdout.splitlines()} == set(STREAMS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--contender", "magic"], "--contender: magic: there are engine, hnswlib"),
        (["book.yaml"], "give both RUNBOOK.yaml and --vectors, or neither"),
        (["none.yaml", "--vectors", "none.npy", "--contender", "engine"], "none.yaml: No such file"),
    ],
)
def test_bad_arguments_are_told_in_a_line(arguments: list[str], message: str) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_phases_end_in_the_figures_of_the_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss", reason="the comparison needs faiss-cpu", exc_type=ImportError)
    monkeypatch.setattr(phases, "SINGLES", 40)
    monkeypatch.setattr(phases, "WIDER", ())
    events: list[int] = []
    churned, pause = phases.churned(300, 8, events.append)
    compared = phases.compared(300, 8, events.append)
    sent: list[object] = []
    phases.growth(_Pipe(sent), (100, 200, 400), 8, 60.0)
    points = sent[-1]
    assert isinstance(points, list)
    assert sum(sum_ for sum_ in sent[:-1] if isinstance(sum_, int)) == phases.growth_events((100, 200, 400))
    figures = engine._figures(engine.Measured(churned, pause, compared, [], points))
    assert list(figures) == [
        "recall_churn_100k", "recall_churn_1m", "time_vs_hnswlib", "growth_10k_1m",
        "bytes_per_product", "pause_ms_100k", "vs_probe160", "vs_bruteforce",
    ]  # fmt: skip
    assert all(value is not None and value > 0 for value in figures.values())
    draw([*churned, *points], tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().count("lists rewritten an event") >= 1


class _Pipe:
    """The sending end of a pipe."""

    def __init__(self, sent: list[object]) -> None:
        self.send = sent.append


def test_figures_without_the_million() -> None:
    here = {"products": 9, "dim": 8, "k": 1, "slack": 0, "batch": 256, "events": 4, "distances_per_event": 0.0}
    there = {"rewritten_per_event": 0.0, "bytes_per_product": 7.4, "list_recall": 0.98765432}
    names = {"engine": 2.0, "hnswlib": 1.0, "probe-160": 3.0, "faiss-flat": 8.0}
    points = [Point(contender=name, ms_per_event=ms, **here, **there) for name, ms in names.items()]  # type: ignore[arg-type]
    assert engine._figures(engine.Measured(points, 0.0123, points, [], [])) == {
        "recall_churn_100k": 0.98765,
        "recall_churn_1m": None,
        "time_vs_hnswlib": 2.0,
        "growth_10k_1m": None,
        "bytes_per_product": 7,
        "pause_ms_100k": 12.3,
        "vs_probe160": 1.5,
        "vs_bruteforce": 4.0,
    }
