"""The network breaks off all connections to Kafka and Redis, several times.

The service connects again; a write that was broken off in its midst is made again.
"""

from __future__ import annotations

from world import World

KIND, SHARE = "network", 2


def play(world: World) -> None:
    """Resets in any rhythm."""
    for _ in range(world.random.randint(1, 6)):
        world.kafka_net.reset()
        world.redis_net.reset()
        world.hold(0, 0.5)
