"""Redis dies and comes back with its data.

The service waits for it, and nothing that was committed to Kafka is missing.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "redis", 2


def play(world: World) -> None:
    """SIGKILL, and a new start with the append-only file."""
    world.redis.kill()
    world.hold(0, 2)
    world.redis.start()
