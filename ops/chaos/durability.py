"""What durability costs: the share of the service's throughput that snapshots and fencing take.

Snapshots: 60,000 events in a burst, by turns through a service that writes a snapshot every 5 seconds and one that writes
none; 1 - rate with / rate without, the best of each. Fencing cannot be switched off, so its share of the time of a write is
measured against the same calls without it, and counts as much as writing counts in the burst. The figure is the sum.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from assortment import Assortment
from fence import fence_share
from ledger import State
from service import Service
from world import DIM, World

from producer.publisher import Publisher

CREATED, REPRICED = 20_000, 40_000
ROUNDS = 2
OFTEN, NEVER = 5, 0
"""Seconds between two snapshots; 0 is none before the end."""
BURST_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Burst:
    """Events a second that were readable, and the share of that time that writing to Redis took."""

    rate: float
    writing: float


def durability_cost(world: World, tell: Callable[[str], None]) -> float:
    """Measure on the world's servers, past the proxies; the shop stays paused, its service is stopped."""
    world.load.pause()
    world.main.stop()
    events = _events()
    bursts: dict[int, list[Burst]] = {OFTEN: [], NEVER: []}
    numbers = itertools.count()
    for _ in range(ROUNDS):
        for seconds, found in bursts.items():
            found.append(_burst(world, f"cost-{next(numbers)}", seconds, events))
            tell(f"burst {'with' if seconds else 'without'} snapshots: {found[-1].rate:.0f} events/s")
    often, never = (max(bursts[seconds], key=lambda burst: burst.rate) for seconds in (OFTEN, NEVER))
    snapshots, fence = 1 - often.rate / never.rate, fence_share(world.redis)
    tell(
        f"durability: snapshots take {snapshots:.1%}; "
        f"the fence {fence:.1%} of a write, writes {never.writing:.1%} of the time: {fence * never.writing:.1%}"
    )
    return snapshots + fence * never.writing


def _events() -> list[State]:
    """New products first, then new prices of all of them, again and again."""
    drawn = Assortment(7, DIM)
    created = [drawn.create() for _ in range(CREATED)]
    changes = enumerate(itertools.islice(itertools.cycle(created), REPRICED))
    return created + [
        State(state.id, CREATED + 1 + number, number + 0.5, True, state.vector) for number, state in changes
    ]


def _burst(world: World, name: str, snapshot_seconds: int, events: list[State]) -> Burst:
    """Send all at once to a service with a topic and a generation of its own."""
    service = world.new_service(
        name, topic=name, snapshot_seconds=f"{snapshot_seconds}", kafka=world.broker.address,
        redis=f"redis://127.0.0.1:{world.redis.port}/0",
    )  # fmt: skip
    world.broker.make_topic(name, 4)
    world.services.append(service)
    service.start()
    began = time.monotonic()
    with Publisher(world.broker.address, name) as publisher:
        for state in events:
            publisher.publish(state.event())
    service.wait("through", lambda: _through(service, len(events)), BURST_SECONDS, 0.2)
    seconds = time.monotonic() - began
    writing = service.metric('kinstream_stage_seconds_sum{stage="publish"}')
    service.kill()
    world.services.remove(service)
    world.reader.flushall()
    return Burst(len(events) / seconds, writing / seconds)


def _through(service: Service, events: int) -> bool:
    return service.metric("kinstream_events_total{") >= events
