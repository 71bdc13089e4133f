"""The service is killed twice, the second time while it starts.

A start that is broken off leaves nothing behind that hinders the next.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "kill", 2


def play(world: World) -> None:
    """SIGKILL, a new start, SIGKILL in its midst, a new start."""
    world.main.kill()
    world.main.launch()
    world.hold(0.1, 2)
    world.main.kill()
    world.main.launch()
