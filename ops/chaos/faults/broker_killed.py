"""The broker dies and comes back.

The shop says again what was not acknowledged; the service waits and goes on where it was.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "broker", 1


def play(world: World) -> None:
    """SIGKILL, and a new start."""
    world.broker.kill()
    world.hold(0, 1)
    world.broker.start()
