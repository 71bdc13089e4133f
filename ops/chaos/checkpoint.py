"""The shop pauses, everything comes to rest, and all is compared: cards, lists, and what the service itself says."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from comparison import Comparison, agreement, compare
from recovery import recover
from service import Service
from stored import read_all
from world import GENERATION, K, World

MIN_RECALL = 0.995
REST_SECONDS = 90.0
RESTS = 8
"""How often in a row, a quarter of a second apart, the service must say that nothing is left: it measures every second."""
FRESH = "g2"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a comparison found; ``wrong`` is empty when all is well."""

    lost: int
    ghosts: int
    recall: float
    wrong: str


def check(world: World) -> Checked:
    """Pause the shop, wait until nothing moves, compare; the shop stays paused.

    Raises:
        ChaosError: it does not come to rest.
    """
    world.load.pause()
    recover(world)
    _rest(world.main)
    found = compare(world.ledger.live(), read_all(world.reader, GENERATION), K)
    checked = _checked(world, found)
    said = world.main.verify()
    agrees = said["recall"] >= MIN_RECALL and not said["ghosts"] + said["missing"] + said["orphans"]
    if checked.wrong or agrees:
        return checked
    world.note("kinstream verify disagrees", said=said)
    return Checked(checked.lost, checked.ghosts, checked.recall, f"kinstream verify says {said}")


def glance(world: World) -> Checked:
    """Compare without waiting for anything."""
    return _checked(world, compare(world.ledger.live(), read_all(world.reader, GENERATION), K))


def check_rebuilt(world: World) -> tuple[Checked, float]:
    """Build another generation from the topic, by a service that knows nothing yet, and compare; the shop is paused.

    Returns:
        What was found, and the share of lists that both generations have the same, up to ties.
    """
    fresh = world.new_service(FRESH)
    world.services.append(fresh)
    fresh.start()
    _rest(fresh)
    live = world.ledger.live()
    one, other = read_all(world.reader, GENERATION), read_all(world.reader, FRESH)
    found = compare(live, other, K)
    flawed = found.flawed | compare(live, one, K).flawed
    world.only(world.main)
    return _checked(world, found), agreement(one, other, flawed)


def _rest(service: Service) -> None:
    """Wait until no event and no list is left to be written."""
    busy = deque([1.0], maxlen=RESTS)

    def rests() -> bool:
        left = service.metric("kinstream_consumer_lag{") + service.metric("kinstream_republish_pending_products")
        busy.append(left if service.ready() else 1.0)
        return len(busy) == RESTS and not any(busy)

    service.wait("at rest", rests, REST_SECONDS, 0.25)


def _checked(world: World, found: Comparison) -> Checked:
    checked = Checked(len(found.lost), len(found.ghosts), found.recall, _wrong(found))
    world.note("compared", lost=found.lost[:20], ghosts=found.ghosts[:20], recall=found.recall)
    return checked


def _wrong(found: Comparison) -> str:
    if found.lost or found.ghosts:
        return f"{len(found.lost)} lost, {len(found.ghosts)} ghosts, such as {(found.lost + found.ghosts)[0]}"
    return "" if found.recall >= MIN_RECALL else f"recall {found.recall:.4f} is below {MIN_RECALL}"
