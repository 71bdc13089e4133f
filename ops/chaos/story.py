"""A fault is a story: a file in ``faults`` that says what breaks, what must happen, and how that is checked."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import typer
from world import World

FAULTS = Path(__file__).resolve().parent / "faults"
KINDS = ("kill", "redis", "broker", "network")
"""Those that are mixed; stories of the kind ``topic`` come at the end."""


class Skipped(Exception):
    """This machine cannot play the story; says why."""


@dataclass(frozen=True, slots=True)
class Story:
    """One file of ``faults``.

    Attributes:
        name: of the file, without its ending.
        kind: what breaks: kill, redis, broker, network or topic.
        share: how often it is played beside the others of its kind.
        told: the whole story.
        play: breaks and mends; the suite then waits until readers see everything.
    """

    name: str
    kind: str
    share: int
    told: str
    play: Callable[[World], None]


def stories() -> dict[str, Story]:
    """All of them by name."""
    return {name: _read(name) for name in sorted(file.stem for file in FAULTS.glob("*.py"))}


def plan(known: Mapping[str, Story], counts: Mapping[str, int], seed: int) -> list[Story]:
    """So many stories of each kind, shares kept, in an order that the seed gives."""
    chosen = [story for kind, count in counts.items() for story in _shared_out(known, kind, count)]
    random.Random(seed).shuffle(chosen)
    return chosen


def named(known: Mapping[str, Story], names: str, times: int) -> list[Story]:
    """The stories of these names, with commas between, one after the other, so many times.

    Raises:
        BadParameter: there is none of a name.
    """
    for name in names.split(","):
        if name not in known:
            raise typer.BadParameter(f"{name}: there are {', '.join(known)}", param_hint="--only")
    return [known[name] for name in names.split(",")] * times


def _read(name: str) -> Story:
    module = importlib.import_module(f"faults.{name}")
    return Story(name, module.KIND, module.SHARE, (module.__doc__ or "").strip(), module.play)


def _shared_out(known: Mapping[str, Story], kind: str, count: int) -> list[Story]:
    """Stories of a kind, each as often as its share says; the rounding falls to those with the largest share."""
    found = sorted((story for story in known.values() if story.kind == kind), key=lambda story: -story.share)
    total = sum(story.share for story in found)
    times = [count * story.share // total for story in found]
    for place in range(count - sum(times)):
        times[place % len(times)] += 1
    return [story for story, often in zip(found, times, strict=True) for _ in range(often)]
