"""Redis dies, and a replica that had lost the link to it becomes the new Redis: the last writes are gone.

The service notices and writes everything again.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "redis", 2


def play(world: World) -> None:
    """A replica in sync, the link broken, writes that it misses, SIGKILL, the replica in its place."""
    replica = world.new_redis()
    replica.start()
    replica.follow(world.redis)
    world.hold(0.2, 1)
    replica.lead()
    world.hold(0.5, 2)
    world.redis.kill()
    world.redis.wipe()
    world.hold(0, 1)
    world.swap_redis(replica)
