"""Redis has too many clients: it breaks off the service's connections and takes no new ones.

The service waits, and goes on when it is let in.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "redis", 2


def play(world: World) -> None:
    """No room but for the reader, everybody else thrown out, room again."""
    world.reader.config_set("maxclients", 1)
    world.reader.client_kill_filter(_type="normal", skipme=True)
    world.hold(0.5, 4)
    world.reader.config_set("maxclients", 10_000)
