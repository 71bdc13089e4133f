"""A byte of the newest snapshot is another than was written.

The start notices, says so, and uses the older one, or reads the topic.
"""

from __future__ import annotations

from damage import newest_file
from world import World

KIND, SHARE = "kill", 1


def play(world: World) -> None:
    """SIGKILL, a byte flipped, a new start."""
    world.main.kill()
    file = newest_file(world)
    if file is not None:
        content = bytearray(file.read_bytes())
        content[world.random.randrange(len(content))] ^= 1 << world.random.randrange(8)
        file.write_bytes(content)
    world.note("flipped a byte", file=str(file))
    world.main.launch()
