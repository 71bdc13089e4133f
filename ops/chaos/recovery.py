"""Waiting until readers see everything again that the shop said before a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import redis
from daemon import ChaosError
from ledger import State
from stored import facts_of, read_cards
from world import GENERATION, POLL_SECONDS, World

PATIENCE = 120.0
CARDS_SECONDS = 0.25
"""How often all cards are read, once the sentinels are there."""


class Unrecovered(ChaosError):
    """Readers do not see what they should; one line."""


def recover(world: World) -> float:
    """Wait until a new state of one product in every partition is readable, and every card that did not change since.

    Returns:
        Seconds since the call; also kept in ``world.recoveries``.

    Raises:
        Unrecovered: it takes longer than PATIENCE seconds.
    """
    ledger, began = world.ledger, time.monotonic()
    numbers, marked = ledger.numbers(), ledger.acknowledged()
    sentinels = {state.id: state for state in world.load.touch()}

    def behind() -> list[str]:
        wrong = wrong_cards(world, marked)
        counted = ledger.numbers()
        return [id for id in wrong if counted[id] == numbers[id]]

    until = began + PATIENCE
    _wait(world, lambda: wrong_cards(world, sentinels), until, POLL_SECONDS)
    _wait(world, behind, until, CARDS_SECONDS)
    world.recoveries.append(time.monotonic() - began)
    return world.recoveries[-1]


def wrong_cards(world: World, wanted: Mapping[str, State | None]) -> list[str]:
    """Ids whose card does not say what it should."""
    found = read_cards(world.reader, GENERATION, list(wanted))
    return [id for id, state in wanted.items() if found[id] != facts_of(state)]


def _wait(world: World, wrong: Callable[[], list[str]], until: float, every: float) -> None:
    """Ask until nothing is wrong; a Redis that refuses is asked again."""
    while reason := _reason(wrong):
        if time.monotonic() > until:
            world.note("readers do not see everything", reason=reason)
            raise Unrecovered(f"readers do not see everything after {PATIENCE:g} s: {reason}")
        world.tend()
        time.sleep(every)


def _reason(wrong: Callable[[], list[str]]) -> str:
    """Empty when nothing is wrong."""
    try:
        ids = wrong()
    except redis.RedisError as error:
        return str(error)
    return f"{len(ids)} cards are wrong: {', '.join(ids[:5])}" if ids else ""
