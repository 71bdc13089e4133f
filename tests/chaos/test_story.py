"""The plan of a run, and what its table and last line say."""

from __future__ import annotations

from collections import Counter

import pytest
import typer
from checkpoint import Checked
from rich.console import Console
from story import KINDS, named, plan, stories
from tally import Tally


def test_every_file_of_faults_is_a_story() -> None:
    known = stories()
    assert {story.kind for story in known.values()} == {*KINDS, "topic"}
    assert all(story.told.count("\n") >= 2 and story.share > 0 for story in known.values())


def test_a_plan_has_the_numbers_that_were_asked_for() -> None:
    counts = {"kill": 40, "redis": 17, "broker": 5, "network": 1}
    chosen = plan(stories(), counts, seed=3)
    assert Counter(story.kind for story in chosen) == counts
    played = Counter(story.name for story in chosen)
    assert played["kill"] > played["kill_in_snapshot"] > played["snapshot_flipped"] > 0
    assert chosen == plan(stories(), counts, seed=3)
    assert chosen != plan(stories(), counts, seed=4)


def test_single_stories_by_name() -> None:
    assert [story.name for story in named(stories(), "flush,kill", 2)] == ["flush", "kill", "flush", "kill"]
    with pytest.raises(typer.BadParameter, match=r"flood: there are .*flush"):
        named(stories(), "flood", 1)


def test_a_comparison_counts_for_the_stories_since_the_last() -> None:
    known, tally = stories(), Tally()
    tally.played(known["kill"], 100, [1.0, 2.0])
    tally.checked(Checked(0, 0, 0.999, ""))
    tally.played(known["flush"], 50, [4.0])
    tally.played(known["kill"], 10, [3.0])
    tally.checked(Checked(2, 1, 0.9, "bad"))
    tally.played(known["broker_killed"], 10, [0.5])
    tally.checked(Checked(3, 4, 0.8, "bad"))
    tally.skipped(known["state_full"], "no disk")
    assert tally.figures(9, 170, None) == {
        "seed": 9, "kills": 2, "redis_faults": 1, "broker_faults": 1, "network_faults": 0, "events": 170,
        "lost": 3, "ghosts": 4, "recall": 0.8, "worst_recovery_s": 4.0, "durability_cost": None,
    }  # fmt: skip
    console = Console(width=100)
    with console.capture() as shown:
        console.print(tally.table())
    rows = {
        cells[0]: cells[1:]
        for line in shown.get().splitlines()
        if (cells := line.strip("│").split("│"))
        if len(cells) > 1
    }
    told = {name.strip(): [cell.strip() for cell in cells] for name, cells in rows.items()}
    assert told["kill"] == ["2", "110", "2", "1", "0.9000", "2.5", "3.0"]
    assert told["broker_killed"] == ["1", "10", "3", "4", "0.8000", "0.5", "0.5"]
    assert told["state_full"][:2] == ["skipped", "no disk"]
