"""Redis dies and is restored from a dump of minutes ago, with the lease and the term of that time.

The service notices that its last writes are gone and writes everything again; what was deleted since does not come back.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "redis", 2


def play(world: World) -> None:
    """A dump of now is kept; SIGKILL, and a new start from any dump that was ever kept."""
    world.dumps.append(world.folder / f"dump-{len(world.dumps)}.rdb")
    world.redis.dump(world.dumps[-1])
    world.hold(1, 3)
    world.redis.kill()
    chosen = world.random.choice(world.dumps)
    world.note("restoring", dump=chosen.name)
    world.redis.start_from_dump(chosen)
