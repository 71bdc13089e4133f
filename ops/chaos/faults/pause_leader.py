"""The leader is stopped in its tracks, a second service takes over, and the old leader wakes up in the middle of a write.

The follower takes the lead when the lease runs out. What the old leader still wants to write is refused, so that no
deleted product comes back and no old price is seen. The old one follows, or ends.
"""

from __future__ import annotations

from recovery import recover
from world import World

KIND, SHARE = "kill", 1


def play(world: World) -> None:
    """A standby, SIGSTOP of the leader, takeover, SIGCONT; the standby is the service from now on."""
    leader, follower = world.main, world.standby()
    leader.pause()
    recover(world)
    world.note("the standby leads, the old leader wakes up")
    leader.resume()
    world.hold(0.5, 2)
    recover(world)
    world.only(follower)
