"""The disk under the state folder is full.

The service starts and goes on without snapshots, and says so; with room again, it uses and writes them again.
"""

from __future__ import annotations

from damage import full_disk
from recovery import recover
from world import World

KIND, SHARE = "kill", 1


def play(world: World) -> None:
    """SIGKILL, a start on a full disk, some time with it, SIGKILL, a start with room."""
    with full_disk(world.main.state):
        world.main.kill()
        world.main.launch()
        recover(world)
        world.hold(3, 5)
        world.main.kill()
    world.main.launch()
