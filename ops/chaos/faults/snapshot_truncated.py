"""A file of the newest snapshot is shorter than was written, or gone.

The start notices, says so, and uses the older one, or reads the topic.
"""

from __future__ import annotations

from damage import newest_file
from world import World

KIND, SHARE = "kill", 1


def play(world: World) -> None:
    """SIGKILL, a file cut off or removed, a new start."""
    world.main.kill()
    file = newest_file(world)
    if file is not None and world.random.random() < 0.3:
        file.unlink()
    elif file is not None:
        file.write_bytes(file.read_bytes()[: world.random.randrange(file.stat().st_size)])
    world.note("cut off a file", file=str(file))
    world.main.launch()
