"""The topic is deleted, created, and filled again.

The service does not take the old offsets for the new topic's: it reads that from its beginning. Products that are no longer
in it leave, the others stay readable.
"""

from __future__ import annotations

from load import SENTINELS
from world import PARTITIONS, TOPIC, World

KIND, SHARE = "topic", 1


def play(world: World) -> None:
    """Another topic of the same name, and every product said once more but for one in twenty."""
    world.load.pause()
    world.broker.delete_topic(TOPIC)
    world.broker.make_topic(TOPIC, PARTITIONS)
    world.load.reconnect()
    for id in world.ledger.live():
        if id not in SENTINELS and world.random.random() < 1 / 20:
            world.ledger.forget(id)
    world.load.say_everything()
    world.load.pause()
