"""Redis answers nobody for a while, as during a failover that an operator asked for.

Nothing is lost; what waited goes through.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "redis", 1


def play(world: World) -> None:
    """CLIENT PAUSE."""
    world.reader.client_pause(world.random.randrange(500, 3000))
