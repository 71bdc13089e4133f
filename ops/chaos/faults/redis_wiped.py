"""Redis dies and comes back empty.

The service waits for it, notices, and writes everything again.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "redis", 2


def play(world: World) -> None:
    """SIGKILL, all data removed, a new start."""
    world.redis.kill()
    world.redis.wipe()
    world.hold(0, 2)
    world.redis.start()
