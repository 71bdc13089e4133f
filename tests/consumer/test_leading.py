"""Two services of one generation, in memory: one leads and writes, the other follows; and what a loss of the store does."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from consumer.catalogue import Catalogue
from consumer.ends import Ends
from consumer.exact import ExactIndex
from consumer.given import GivenVectors
from consumer.leadership import LEASE_SECONDS, Leadership
from consumer.loop import Chores, Loop
from consumer.memory import MemoryLog, MemorySource, MemoryStore
from consumer.memory_server import MemoryServer
from consumer.metrics import Metrics
from consumer.neighbours import NeighbourGraph
from consumer.pipeline import Pipeline
from consumer.start import catch_up, choose
from consumer.types import Generation

DIM = 4
STEPS = ("applied", "letters", "published", "committed")


class Crash(Exception):
    """The process is gone."""


class World:
    """A topic, a server, and the time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.log = MemoryLog(partitions=2)
        self.server = MemoryServer(lambda: self.now)
        self.random = np.random.default_rng(0)

    def send(self, id: str, **fields: Any) -> None:
        product = {"id": id, "title": f"product {id}", "embedding": self.random.normal(size=DIM).tolist(), **fields}
        self.log.append(id.encode(), json.dumps(product).encode(), partition=len(id) % 2, timestamp=self.now)

    def delete(self, id: str) -> None:
        self.log.append(id.encode(), None, partition=len(id) % 2, timestamp=self.now)

    def garbage(self) -> None:
        self.log.append(b"x", b"not json", timestamp=self.now)

    def lists(self, generation: str = "g1") -> dict[str, list[str]]:
        return {id: [name for name, _ in entries] for id, entries in self.server.kept[generation].lists.items()}


class Service:
    """A loop of this world; ``crash`` names the step of a commit after which it dies."""

    def __init__(self, world: World, instance: str, generation: str = "g1", crash: str = "") -> None:
        self.world = world
        self.crash = crash
        self.metrics = Metrics("none", "exact", "python")
        self.store = MemoryStore(generation, world.server)
        self.leadership = Leadership(self.store.lead, self.store.resign, instance, lambda: world.now)
        catalogue = Catalogue()
        graph = NeighbourGraph(ExactIndex(DIM), DIM, 3, 3, catalogue.id_of)
        pipeline = Pipeline(GivenVectors(DIM), graph, catalogue, frozenset(), self.metrics.stage)
        source = MemorySource(world.log)
        self.loop = Loop(
            Ends(source, self.store, self.leadership, Generation(name=generation, model="none", dim=DIM, k=3)),
            pipeline,
            catalogue,
            self.metrics,
            Chores(),
            4,
            lambda: world.now,
            self._passed,
        )
        topic = source.topic()
        catch_up(self.loop, choose(None, 0, topic, world.now, forced=False), topic, {})

    def _passed(self, step: str) -> None:
        if step == self.crash:
            raise Crash(step)

    def turns(self, number: int = 20, seconds: float = 0.1, beats: bool = True) -> None:
        for _ in range(number):
            if beats:
                self.leadership.beat()
            self.loop.step()
            self.world.now += seconds

    def value(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(name) or 0.0


@pytest.fixture
def world() -> World:
    made = World()
    for number in range(12):
        made.send(f"p{number}")
    return made


def fresh_lists(world: World) -> dict[str, list[str]]:
    Service(world, "fresh", "fresh").turns()
    return world.lists("fresh")


def test_a_follower_writes_nothing_and_counts_what_the_leader_has_committed(world: World) -> None:
    leader, follower = Service(world, "a"), Service(world, "b")
    leader.turns(1)
    follower.turns(1)
    world.send("q")
    world.garbage()
    before = world.server.dump()
    follower.turns()
    assert follower.loop.caught_up
    assert follower.store.server.dump()[1] == before[1]
    assert world.log.dead_letters == []
    assert len(follower.loop.backlog) > 0
    leader.turns()
    follower.turns()
    assert len(follower.loop.backlog) == 0
    assert len(world.log.dead_letters) == 1
    assert follower.value("kinstream_leader") == 0
    assert leader.value("kinstream_leader") == 1
    assert leader.value("kinstream_events_total") == follower.value("kinstream_events_total")


def test_a_follower_takes_over_when_the_lease_runs_out_and_does_what_was_left(world: World) -> None:
    leader, follower = Service(world, "a"), Service(world, "b")
    leader.turns(1)
    follower.turns(1)
    world.send("q")
    world.delete("p3")
    world.garbage()
    follower.turns(3)
    assert "q" not in world.lists()
    world.now += LEASE_SECONDS
    follower.turns()
    assert world.lists() == fresh_lists(world)
    assert len(world.log.dead_letters) == 1
    assert follower.loop.source.lag() == dict.fromkeys([("products", 0), ("products", 1)], 0)


def test_a_leader_that_slept_writes_nothing_any_more(world: World) -> None:
    """It wakes up in the middle of a step, and its lease looks good to it still."""
    leader, follower = Service(world, "a"), Service(world, "b")
    leader.turns(1)
    world.now += LEASE_SECONDS
    follower.turns()
    world.delete("p3")
    follower.turns()
    committed, lists = dict(world.log.committed), world.lists()
    world.now -= LEASE_SECONDS + 4
    leader.turns(3, seconds=0, beats=False)
    assert world.lists() == lists
    assert world.log.committed == committed
    assert leader.value("kinstream_leader") == 0
    world.now += LEASE_SECONDS + 4
    leader.turns()
    assert leader.value("kinstream_leader") == 0
    assert leader.value("kinstream_store_losses_total") == 0
    assert world.lists() == fresh_lists(world)


@pytest.mark.parametrize("step", STEPS)
def test_after_a_crash_at_any_step_the_next_start_ends_in_the_same_lists(world: World, step: str) -> None:
    service = Service(world, "a")
    service.turns()
    world.send("p3", available=False)
    world.send("q")
    world.delete("p5")
    world.garbage()
    service.crash = step
    with pytest.raises(Crash):
        service.turns()
    Service(world, "a").turns()
    assert world.lists() == fresh_lists(world)
    assert set(world.server.kept["g1"].cards) == set(world.lists())
    assert len(world.log.dead_letters) in ((1, 2) if step == "letters" else (1, 2, 3))
    assert {letter.reason for letter in world.log.dead_letters} == {"NotJson"}


def test_a_store_that_lost_everything_is_filled_again_without_an_event(world: World) -> None:
    service = Service(world, "a")
    service.turns()
    lists, cards = world.lists(), {id: card["title"] for id, card in world.server.kept["g1"].cards.items()}
    world.server.lose()
    service.turns()
    assert world.lists() == lists
    assert {id: card["title"] for id, card in world.server.kept["g1"].cards.items()} == cards
    assert world.server.live == "g1"
    assert service.value("kinstream_store_losses_total") == 1
    assert service.value("kinstream_republish_pending_products") == 0


def test_a_store_that_went_back_in_time_is_brought_forward_and_shows_no_ghost(world: World) -> None:
    service = Service(world, "a")
    service.turns()
    dump = world.server.dump()
    world.delete("p3")
    world.send("p4", price=5)
    service.turns()
    world.server.restore(dump)
    assert "p3" in world.lists()
    service.turns()
    assert world.lists() == fresh_lists(world)
    assert world.server.kept["g1"].cards["p4"]["price"] == "5"
    assert "p3" not in world.server.kept["g1"].cards


def test_a_generation_that_was_not_live_does_not_become_live_by_a_loss(world: World) -> None:
    first, second = Service(world, "a"), Service(world, "b", "g2")
    first.turns()
    second.turns()
    assert world.server.live == "g1"
    world.server.lose()
    second.turns()
    assert world.lists("g2") != {}
    assert world.server.live is None
    first.turns()
    assert world.server.live == "g1"


def test_what_happens_while_everything_is_written_again_is_not_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.republishing.CHUNK", 1)
    leader, follower = Service(world, "a"), Service(world, "b")
    leader.turns(1)
    world.now += LEASE_SECONDS
    world.send("q")
    follower.loop.step()
    follower.loop.caught_up = True
    follower.turns(2)
    assert follower.loop.republishing.pending > 0
    world.delete("p0")
    world.send("p11", price=7)
    follower.turns(3)
    assert follower.loop.republishing.under_way
    assert "p0" not in world.lists()
    assert world.server.kept["g1"].cards["p11"]["price"] == "7"
    follower.turns(40)
    assert world.lists() == fresh_lists(world)


def test_a_lease_that_is_told_of_in_the_middle_of_a_turn_is_not_taken_for_that_of_another(world: World) -> None:
    service = Service(world, "a")
    term = service.leadership.term

    def just_before_the_answer() -> int:
        before = term()
        service.leadership.beat()
        return before

    service.leadership.term = just_before_the_answer  # type: ignore[method-assign]
    service.loop.step()
    assert not service.loop.caught_up
    assert world.lists() == {}
    service.loop.step()
    assert service.loop.caught_up
    assert world.lists() == fresh_lists(world)


def test_a_follower_that_has_nothing_left_to_do_keeps_what_comes_next_in_full(world: World) -> None:
    leader, follower = Service(world, "a"), Service(world, "b")
    leader.turns(1)
    follower.turns(15)
    world.delete("p0")
    follower.turns(1)
    (entry,) = follower.loop.backlog._entries
    assert entry.removed == ["p0"]


def test_many_batches_wait_in_bounded_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.backlog.MOST_ENTRIES", 3)
    leader, follower = Service(world, "a"), Service(world, "b")
    leader.turns(1)
    follower.turns(1)
    for number in range(40):
        world.send(f"p{number % 15}", price=number)
    world.delete("p1")
    follower.turns(40)
    assert len(follower.loop.backlog) <= 4
    world.now += LEASE_SECONDS
    follower.turns()
    assert world.lists() == fresh_lists(world)
    assert {id: card.get("price") for id, card in world.server.kept["g1"].cards.items()} == {
        id: card.get("price") for id, card in world.server.kept["fresh"].cards.items()
    }


def test_a_batch_is_counted_once(world: World) -> None:
    service = Service(world, "a")
    service.turns()
    assert service.value("kinstream_batch_events_count") == 3
    assert service.value("kinstream_batch_events_sum") == 12
