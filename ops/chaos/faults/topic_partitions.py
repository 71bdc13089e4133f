"""The topic gets more partitions.

The service finds them by itself, within half a minute, and reads them from their beginning.
"""

from __future__ import annotations

from world import PARTITIONS, TOPIC, World

KIND, SHARE = "topic", 1


def play(world: World) -> None:
    """Two partitions more, and every product said once more: many lie in another partition now."""
    world.load.pause()
    world.broker.add_partitions(TOPIC, PARTITIONS + 2)
    world.load.reconnect()
    world.load.say_everything()
    world.load.pause()
