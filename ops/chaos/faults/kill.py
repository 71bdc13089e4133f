"""The service is killed at any moment.

It is started again at once, finds its place, and readers see everything that was said meanwhile.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "kill", 10


def play(world: World) -> None:
    """SIGKILL, and a new start."""
    world.hold(0, 0.5)
    world.main.kill()
    world.main.launch()
