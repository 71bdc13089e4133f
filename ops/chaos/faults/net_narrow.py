"""The network to Kafka or Redis lets little through.

The service falls behind, and catches up.
"""

from __future__ import annotations

from proxy import FAIR, Weather
from world import World

KIND, SHARE = "network", 1


def play(world: World) -> None:
    """20 to 100 KB a second."""
    net = world.random.choice([world.kafka_net, world.redis_net])
    net.set(Weather(bandwidth=world.random.uniform(20_000, 100_000)))
    world.hold(1, 4)
    net.set(FAIR)
