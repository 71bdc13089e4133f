"""Redis has no memory left and refuses writes.

The service commits nothing meanwhile, and goes on when there is room.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "redis", 2


def play(world: World) -> None:
    """A limit below what is used, and none again."""
    world.reader.config_set("maxmemory", "1mb")
    world.hold(0.5, 4)
    world.reader.config_set("maxmemory", "0")
