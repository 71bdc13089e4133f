"""Two stories on servers of their own, as `make chaos` plays them by the hundred."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from campaign import Campaign
from story import Story, stories
from tally import Tally
from world import World

pytestmark = [pytest.mark.servers, pytest.mark.last]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("chaos"), seed=1, rate=100, snapshot_seconds=1)
    try:
        made.open(products=400)
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("name", ["kill", "flush"])
def test_readers_see_everything_again(world: World, name: str) -> None:
    tally, played = Tally(), list[Story]()
    Campaign(world, tally, print, played.append).mixed([stories()[name]], until=float("inf"))
    figures = tally.figures(1, world.ledger.taken, None)
    assert [story.name for story in played] == [name]
    assert (figures["lost"], figures["ghosts"]) == (0, 0)
    assert figures["recall"] is not None
    assert figures["recall"] >= 0.995
    assert figures["events"] is not None
    assert figures["events"] > 400
