"""Kafka or Redis takes connections and never answers, as behind a firewall that lost its table.

The service does not wait for ever, and connects again once the firewall refuses what it does not know.
"""

from __future__ import annotations

from proxy import FAIR, Weather
from world import World

KIND, SHARE = "network", 1


def play(world: World) -> None:
    """Open connections are broken off, new ones accepted and not answered; then those are broken off too."""
    net = world.random.choice([world.kafka_net, world.redis_net])
    net.set(Weather(half_open=True))
    net.reset()
    world.hold(1, 6)
    net.reset()
    net.set(FAIR)
