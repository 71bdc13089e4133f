"""The network to Kafka or Redis is slow.

The service is late, and nothing else.
"""

from __future__ import annotations

from proxy import FAIR, Weather
from world import World

KIND, SHARE = "network", 1


def play(world: World) -> None:
    """50 to 300 ms for whatever is sent."""
    net = world.random.choice([world.kafka_net, world.redis_net])
    net.set(Weather(latency=world.random.uniform(0.05, 0.3)))
    world.hold(1, 4)
    net.set(FAIR)
