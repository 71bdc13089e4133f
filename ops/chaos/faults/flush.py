"""Somebody empties Redis.

The service notices within seconds and writes everything again.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "redis", 3


def play(world: World) -> None:
    """FLUSHALL."""
    world.reader.flushall()
