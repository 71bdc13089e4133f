"""When snapshots are written, and what becomes of those that fail."""

from __future__ import annotations

import math
import os
import select
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from prometheus_client import generate_latest

from consumer import snapshot, snapshotter
from consumer.errors import KinstreamError
from consumer.metrics import Metrics
from consumer.snapshotter import Snapshotter
from consumer.types import Export


class Desk:
    """A snapshotter of every 100 s, on a clock of its own; what it writes is a folder with one file."""

    def __init__(self, folder: Path, seconds: float = 100.0) -> None:
        self.now = 1000.0
        self.positions = {("products", 0): 5}
        self.folder = folder
        self.fault: str | None = None
        self.metrics = Metrics("a model", "hnsw", "CPU")
        self.snapshotter = Snapshotter(self.write, self.place, Lock(), self.metrics, seconds, lambda: self.now)

    def place(self) -> snapshot.Place:
        return snapshot.Place(topic="products", topic_id="t1", offsets=self.positions)

    def write(self, place: snapshot.Place, now: float) -> Path:
        if self.fault == "forever":
            select.select([], [], [])
        if self.fault:
            raise KinstreamError(self.fault)
        path = self.folder / f"{now:.0f}"
        path.mkdir()
        (path / "file").write_bytes(b"x" * place.offsets["products", 0])
        return path

    def read(self) -> None:
        """An event is read: the service's own dictionary changes."""
        self.positions["products", 0] += 1

    def turn(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds
        self.snapshotter.turn(self.now)

    def settle(self) -> None:
        """The child comes to its end, and the next turn sees it."""
        child = self.snapshotter._child
        assert child is not None
        os.waitid(os.P_PID, child._pid, os.WEXITED | os.WNOWAIT)
        self.turn(0)

    @property
    def at_work(self) -> bool:
        return self.snapshotter._child is not None

    @property
    def written(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def metric(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(f"kinstream_snapshot_{name}")
        assert value is not None
        return value


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    made = Desk(tmp_path)
    yield made
    made.snapshotter.close()


def test_one_is_written_when_it_is_due(desk: Desk) -> None:
    desk.turn(99)
    assert not desk.at_work
    desk.turn(1)
    assert desk.at_work
    desk.settle()
    assert (desk.at_work, desk.written) == (False, ["1100"])
    assert desk.metric("bytes") == 5


def test_the_next_one_is_due_after_the_beginning_of_the_last(desk: Desk) -> None:
    desk.turn(100)
    desk.read()
    desk.turn(60)
    desk.settle()
    desk.turn(39)
    assert not desk.at_work
    desk.turn(1)
    desk.settle()
    assert desk.written == ["1100", "1200"]
    assert desk.metric("bytes") == 6


def test_there_is_one_at_a_time(desk: Desk) -> None:
    desk.fault = "forever"
    desk.turn(100)
    first = desk.snapshotter._child
    desk.read()
    desk.turn(150)
    assert desk.snapshotter._child is first


def test_none_is_written_while_nothing_is_read(desk: Desk) -> None:
    desk.turn(100)
    desk.settle()
    desk.turn(500)
    assert not desk.at_work
    desk.read()
    desk.turn(1)
    assert desk.at_work


def test_the_offsets_are_those_of_the_beginning(desk: Desk) -> None:
    desk.turn(100)
    desk.read()
    desk.settle()
    desk.turn(100)
    assert desk.at_work


def test_a_clock_that_went_back_does_not_put_it_off(desk: Desk) -> None:
    desk.turn(-500)
    assert desk.at_work


def test_zero_seconds_is_never(tmp_path: Path) -> None:
    desk = Desk(tmp_path, seconds=0)
    desk.turn(1e6)
    assert not desk.at_work


def test_a_failure_is_told_counted_and_tried_again(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.fault = "KINSTREAM_STATE='/state' cannot be written to"
    desk.turn(100)
    desk.settle()
    assert capsys.readouterr().out.count("KINSTREAM_STATE='/state' cannot be written to") == 1
    assert (desk.metric("failures_total"), desk.metric("bytes")) == (1, 0)
    assert math.isnan(desk.metric("age_seconds"))
    desk.turn(99)
    assert not desk.at_work
    desk.fault = None
    desk.turn(1)
    desk.settle()
    assert (desk.metric("failures_total"), desk.metric("bytes")) == (1, 5)


def test_one_that_takes_too_long_is_ended(desk: Desk) -> None:
    desk.fault = "forever"
    desk.turn(100)
    desk.turn(snapshotter.LIMIT_SECONDS)
    assert desk.at_work
    desk.turn(1)
    desk.settle()
    assert (desk.at_work, desk.metric("failures_total")) == (False, 1)


def test_without_another_process_the_stream_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    desk.turn(100)
    assert (desk.at_work, desk.metric("failures_total")) == (False, 1)


def test_the_age_is_that_of_the_moment_of_asking(desk: Desk) -> None:
    desk.turn(100)
    desk.now += 7
    desk.settle()
    assert desk.metric("age_seconds") == 7
    desk.now += 50
    assert desk.metric("age_seconds") == 57
    assert b"kinstream_snapshot_age_seconds 57.0" in generate_latest(desk.metrics.registry)


def test_a_clean_stop_writes_one_even_when_nothing_was_read(desk: Desk) -> None:
    desk.turn(100)
    desk.settle()
    desk.now += 5
    assert desk.snapshotter.save_now() == desk.folder / "1105"
    assert desk.written == ["1100", "1105"]
    assert desk.metric("age_seconds") == 0


def test_a_clean_stop_ends_what_is_under_way(desk: Desk) -> None:
    desk.fault = "forever"
    desk.turn(100)
    desk.fault = None
    assert desk.snapshotter.save_now() is not None
    assert not desk.at_work
    desk.fault = "the disk is full"
    assert desk.snapshotter.save_now() is None
    assert desk.metric("failures_total") == 1


def test_a_state_that_came_from_a_snapshot_has_its_age(desk: Desk, state: Any, export: Export, tmp_path: Path) -> None:
    saved = state(export)
    saved.place = desk.place()
    saved.save(tmp_path / "state", now=990.0)
    found = snapshot.newest(tmp_path / "state", "g1", lambda manifest: None)
    assert found is not None
    desk.snapshotter.adopt(found)
    found.close()
    assert desk.metric("age_seconds") == 10
    assert desk.metric("bytes") == found.nbytes
    desk.turn(500)
    assert not desk.at_work


def test_the_stream_goes_on_while_a_real_one_is_written(state: Any, export: Export, tmp_path: Path) -> None:
    """What changes after the fork is not in it."""
    saved, now = state(export), [0.0]
    written = Snapshotter(
        lambda place, now: snapshot.write(tmp_path, saved.made, place, saved.catalogue, saved.graph, now),
        lambda: saved.place,
        Lock(),
        Metrics("a model", "hnsw", "CPU"),
        10,
        lambda: now[0],
    )
    written.turn(10.0)
    saved.put("late", 9)
    child = written._child
    assert child is not None
    os.waitid(os.P_PID, child._pid, os.WEXITED | os.WNOWAIT)
    written.turn(11.0)
    found = snapshot.newest(tmp_path, "g1", lambda manifest: None)
    assert found is not None
    assert (found.export().ids, found.created_at) == (export.ids, 10.0)
    found.close()
