"""Plays one story after another, compares now and then, and ends with what needs an end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from checkpoint import check, check_rebuilt, glance
from daemon import ChaosError
from recovery import Unrecovered, recover
from story import Skipped, Story
from tally import Tally
from world import World

CHECK_EVERY = 25
"""Stories between two comparisons."""

Tell = Callable[[str], None]


class Broken(ChaosError):
    """The service broke its promise; one line."""


class Campaign:
    """One run on one world; ``tell`` is given lines for people, ``advance`` is called after each story."""

    def __init__(self, world: World, tally: Tally, tell: Tell, advance: Callable[[Story], None]) -> None:
        self._world = world
        self._tally = tally
        self._tell = tell
        self._advance = advance
        self._since_check = 0

    def mixed(self, plan: Sequence[Story], until: float) -> None:
        """Play the plan, begin nothing after ``until`` (time.monotonic()), and compare at the end.

        Raises:
            Broken: something is lost, a ghost, or a list is wrong.
            ChaosError: readers do not see what they should, or a server cannot be had.
        """
        for story in plan:
            if time.monotonic() > until:
                break
            self._play(story)
            if self._since_check == CHECK_EVERY:
                self._check()
        if self._since_check:
            self._check()

    def rebuilt(self) -> None:
        """A fresh build from the topic has the same products and lists."""
        self._world.load.pause()
        found, same = check_rebuilt(self._world)
        self._tally.checked(found)
        self._tell(f"a fresh build: recall {found.recall:.4f}, {same:.2%} of the lists the same")
        self._insist(found.wrong)

    def last(self, endings: Sequence[Story]) -> None:
        """Play stories that nothing may follow but one another, and compare after each."""
        for story in endings:
            self._play(story)
            self._check()

    def _play(self, story: Story) -> None:
        """Play a story until readers see everything; what they do not see in the end is counted."""
        try:
            self._played(story)
        except Skipped as reason:
            self._tally.skipped(story, str(reason))
        except Unrecovered:
            self._tally.checked(glance(self._world))
            raise

    def _played(self, story: Story) -> None:
        world = self._world
        world.recoveries.clear()
        world.note("begins", story=story.name)
        taken = world.ledger.taken
        story.play(world)
        recover(world)
        world.note("recovered", story=story.name, seconds=[round(seconds, 2) for seconds in world.recoveries])
        self._tally.played(story, world.ledger.taken - taken, world.recoveries)
        self._since_check += 1
        self._advance(story)

    def _check(self) -> None:
        found = check(self._world)
        self._tally.checked(found)
        self._since_check = 0
        self._tell(f"compared: {found.lost} lost, {found.ghosts} ghosts, recall {found.recall:.4f}")
        self._insist(found.wrong)
        self._world.load.resume()

    def _insist(self, wrong: str) -> None:
        if wrong:
            raise Broken(wrong)
