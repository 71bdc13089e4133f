"""The broker stands still, with all connections open.

Nobody knows what of the last events it has taken: the shop says them again, and the service takes none twice.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "broker", 1


def play(world: World) -> None:
    """SIGSTOP and SIGCONT."""
    world.broker.pause()
    world.hold(0.5, 5)
    world.broker.resume()
