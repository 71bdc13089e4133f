"""Recorded changes come at their own pace, or faster; the clock is the test's."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from producer.catalogue import Entry
from producer.changes import Change, change_of
from producer.refusals import BadEvent
from producer.replay import paced


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def arrivals(times: list[float], speed: float, longest_gap: float = math.inf, work: float = 0.0) -> list[float]:
    """Seconds after the start at which changes recorded at these times come."""
    clock = Clock()
    started, arrived = clock.now, []
    for _ in paced([Change(ts, "upsert", "p1", {}) for ts in times], speed, longest_gap, clock, clock.sleep):
        arrived.append(clock.now - started)
        clock.now += work
    return arrived


def test_changes_come_at_their_own_pace() -> None:
    assert arrivals([500.0, 500.0, 510.0, 511.0], 1) == [0, 0, 10, 11]


def test_an_hour_in_a_minute() -> None:
    assert arrivals([0.0, 3600.0, 7200.0], 60) == [0, 60, 120]


def test_no_waiting_at_all() -> None:
    assert arrivals([0.0, 3600.0, 7200.0], math.inf) == [0, 0, 0]


def test_long_gaps_are_cut() -> None:
    assert arrivals([0.0, 1_000_000.0, 1_000_001.0], 2, longest_gap=10) == [0, 5, 5.5]


def test_going_back_in_time_is_no_gap() -> None:
    assert arrivals([100.0, 50.0, 51.0], 1) == [0, 0, 1]


def test_work_between_changes_is_made_up_for() -> None:
    assert arrivals([0.0, 1.0, 2.0, 10.0], 1, work=1.5) == [0, 1.5, 3, 10]


def change(**fields: Any) -> Change:
    return change_of(Entry("events.jsonl", 7, fields))


def test_a_change_is_read() -> None:
    read = change(ts="2026-01-31T12:00:00Z", op="upsert", id="p1", price=5, brand=None)

    assert read == Change(1769860800.0, "upsert", "p1", {"id": "p1", "price": 5, "brand": None}, "events.jsonl:7")


@pytest.mark.parametrize(
    ("ts", "seconds"),
    [
        (None, 0.0),
        (12, 12.0),
        (12.5, 12.5),
        ("1970-01-01T00:00:01", 1.0),
        ("1970-01-01T01:00:01+01:00", 1.0),
    ],
)
def test_time_is_read(ts: Any, seconds: float) -> None:
    assert change(ts=ts, op="delete", id="p1").ts == seconds


def test_a_time_without_zone_is_utc_wherever_this_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert change(ts="1970-01-01T00:00:01", id="p1").ts == 1.0
    time.tzset()


def test_op_and_time_may_be_absent() -> None:
    assert change(id="p1", title="x") == Change(0.0, "upsert", "p1", {"id": "p1", "title": "x"}, "events.jsonl:7")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"op": "move", "id": "p1"}, "op='move' is not known"),
        ({"op": "upsert"}, "id is missing"),
        ({"op": "delete", "id": ""}, "id is missing"),
        ({"op": "delete", "id": 5}, "id=5"),
        ({"op": "delete", "id": "x" * 513}, "512 bytes"),
        ({"op": "delete", "id": "p1", "ts": "noon"}, "ts='noon' is not a time"),
        ({"op": "delete", "id": "p1", "ts": True}, "ts=True is not a time"),
        ({"op": "delete", "id": "p1", "ts": []}, "is not a time"),
        ({"op": ["delete"], "id": "p1"}, "is not known"),
    ],
)
def test_what_is_no_change_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BadEvent, match=says.replace("[", r"\[")):
        change(**fields)


def test_an_entry_that_could_not_be_read_is_no_change() -> None:
    with pytest.raises(BadEvent, match="not JSON"):
        change_of(Entry("events.jsonl", 7, BadEvent("NotJson", "value is not JSON")))
