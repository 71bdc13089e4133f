"""The whole state folder is lost.

The start makes it anew, reads the topic, and readers keep what they have meanwhile.
"""

from __future__ import annotations

import shutil

from world import World

KIND, SHARE = "kill", 1


def play(world: World) -> None:
    """SIGKILL, the folder removed, a new start."""
    world.main.kill()
    shutil.rmtree(world.main.state, ignore_errors=True)
    world.main.launch()
