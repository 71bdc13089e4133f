"""The network to Kafka or Redis lets nothing through for a while, and then everything that waited.

No write arrives twice or in another order.
"""

from __future__ import annotations

from proxy import FAIR, Weather
from world import World

KIND, SHARE = "network", 2


def play(world: World) -> None:
    """Nothing passes; what was sent arrives late."""
    net = world.random.choice([world.kafka_net, world.redis_net])
    net.set(Weather(stalled=True))
    world.hold(0.5, 6)
    net.set(FAIR)
