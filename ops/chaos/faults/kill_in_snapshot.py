"""The service is killed while it writes a snapshot.

The half snapshot is not taken for a whole one: the next start uses the one before.
"""

from __future__ import annotations

import time
from pathlib import Path

from world import World

KIND, SHARE = "kill", 4
LONGEST_WAIT = 8.0


def play(world: World) -> None:
    """SIGKILL at the moment when something appears in the state folder, and a new start."""
    state, until = world.main.state, time.monotonic() + LONGEST_WAIT
    before = _entries(state)
    while _entries(state) <= before and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(world.random.uniform(0, 0.02))
    world.main.kill()
    world.note("killed with a snapshot half written", entries=sorted(path.name for path in _entries(state) - before))
    world.main.launch()


def _entries(state: Path) -> set[Path]:
    return {path for depth in ("*", "*/*", "*/*/*") for path in state.glob(depth)}
