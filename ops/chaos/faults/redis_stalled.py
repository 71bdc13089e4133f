"""Redis stands still, with all connections open.

Shorter than the service's patience it is nothing but slow; longer, the service lets go, loses its lease, and takes it again.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "redis", 2


def play(world: World) -> None:
    """SIGSTOP and SIGCONT."""
    world.redis.pause()
    if world.random.random() < 0.25:
        world.hold(6, 12)
    else:
        world.hold(0.3, 3)
    world.redis.resume()
