"""The broker is stopped in order, as for an upgrade, and started again.

The shop says again what was not acknowledged; the service waits and goes on where it was.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "broker", 1


def play(world: World) -> None:
    """SIGTERM, and a new start."""
    world.broker.stop()
    world.hold(0, 1)
    world.broker.start()
