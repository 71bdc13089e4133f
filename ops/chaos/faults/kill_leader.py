"""The leader is killed while a second service follows.

The follower takes the lead when the lease runs out, and goes on where readers were. The killed one does not come back.
"""

from __future__ import annotations

from recovery import recover
from world import World

KIND, SHARE = "kill", 1


def play(world: World) -> None:
    """A standby, SIGKILL of the leader, takeover; the standby is the service from now on."""
    leader, follower = world.main, world.standby()
    leader.kill()
    world.services.remove(leader)
    recover(world)
    world.only(follower)
