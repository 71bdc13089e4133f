"""The contract of consumer.ports.Store: who may write, and noticing what was lost."""

from __future__ import annotations

from typing import Any

import pytest

from consumer.errors import Fenced, StoreLost
from consumer.ports import Store
from consumer.types import CardWrite, Changes, Generation, ListWrite

G1 = Generation(name="g1", model="m", dim=4, k=3, created_at=5.0)
MANY = [str(number) for number in range(300)]
"""Ids that lie in nearly as many hash slots."""


def product(*ids: str, title: str = "A") -> Changes:
    lists = [ListWrite(id, [("b", 0.5)]) for id in ids]
    return Changes(lists, [CardWrite(id, {"title": title}) for id in ids], [], len(ids))


def removed(*ids: str) -> Changes:
    return Changes([], [], list(ids), 0)


def opened(world: Any) -> Store:
    store: Store = world.store()
    store.open(G1)
    return store


def leader(world: Any, instance: str = "one", known: int = 0) -> tuple[Store, int]:
    store = opened(world)
    term = store.lead(instance, known)
    store.begin(term)
    return store, term


def test_one_leads_and_the_other_follows(world: Any) -> None:
    store, term = leader(world)
    assert term > 0
    assert opened(world).lead("two", 0) == 0
    assert store.lead("one", term) == term


def test_a_lease_that_ran_out_goes_to_another(world: Any) -> None:
    store, term = leader(world)
    world.end_lease()
    later = opened(world).lead("two", 0)
    assert later > term
    assert store.lead("one", term) == 0


def test_a_lease_that_ran_out_is_kept_when_nobody_wants_it(world: Any) -> None:
    store, term = leader(world)
    world.end_lease()
    assert store.lead("one", term) == term
    assert opened(world).lead("two", 0) == 0


def test_who_resigns_lets_the_other_lead_at_once(world: Any) -> None:
    store, term = leader(world)
    store.resign("two", term)
    store.resign("one", term + 1)
    assert opened(world).lead("two", 0) == 0
    store.resign("one", term)
    assert opened(world).lead("two", 0) > term


def test_the_same_instance_takes_over_at_once(world: Any) -> None:
    store, term = leader(world)
    again, later = leader(world)
    assert later > term
    with pytest.raises(Fenced):
        store.write(product("a"), 1, term)
    again.write(product("a"), 1, later)


def test_a_term_is_above_the_one_that_is_asked_with(world: Any) -> None:
    far = 4 * 10**15
    assert opened(world).lead("one", far) == far + 1


def test_terms_grow_across_the_loss_of_everything(world: Any) -> None:
    store, term = leader(world)
    world.lose()
    assert opened(world).lead("two", 0) > term
    with pytest.raises(Fenced):
        store.check(term)


def test_nothing_of_an_older_term_lands(world: Any) -> None:
    old, term = leader(world)
    old.write(product("kept", "deleted"), 1, term)
    world.end_lease()
    new, later = leader(world, "two")
    new.write(removed("deleted"), 2, later)
    for write in (product("deleted"), product("never there"), product("kept", title="stale"), removed("kept")):
        with pytest.raises(Fenced, match=f"{later}.*{term}"):
            old.write(write, 3, term)
    for call in (
        lambda: old.remove(["kept"], term),
        lambda: old.ready(1, term, claim=True),
        lambda: old.check(term),
        lambda: old.begin(term),
    ):
        with pytest.raises(Fenced):
            call()
    assert world.view("kept") == ([("b", 0.5)], {"title": "A", "seen_at": "1.000000"})
    assert world.view("deleted") == world.view("never there") == (None, None)
    assert world.live() is None
    new.check(later)


def test_not_one_of_many_products_lands(world: Any) -> None:
    old, term = leader(world)
    world.end_lease()
    leader(world, "two")
    for id in MANY:
        with pytest.raises(Fenced):
            old.write(product(id), 1, term)
    assert not set(opened(world).ids())


def test_a_flush_is_noticed_in_an_idle_moment(world: Any) -> None:
    store, term = leader(world)
    store.write(product("a"), 1, term)
    store.check(term)
    world.lose()
    with pytest.raises(StoreLost):
        store.check(term)


@pytest.mark.parametrize("write", [product("b"), removed("a"), Changes([], [], [], 1)], ids=["put", "remove", "none"])
def test_a_flush_is_noticed_by_the_next_write(world: Any, write: Changes) -> None:
    store, term = leader(world)
    store.write(product("a"), 1, term)
    world.lose()
    with pytest.raises(StoreLost):
        store.write(write, 2, term)
    assert world.view("b") == (None, None)


def test_after_a_loss_everything_is_written_under_a_new_term(world: Any) -> None:
    store, term = leader(world)
    store.write(product("a"), 1, term)
    store.ready(1, term, claim=True)
    world.lose()
    later = store.lead("one", term)
    assert later > term
    assert world.state() == ("building", 0)
    with pytest.raises(Fenced):
        store.write(product("a"), 2, term)
    store.begin(later)
    store.write(product("a"), 2, later)
    store.ready(1, later, claim=bool(store.was_live()))
    assert world.view("a")[1] == {"title": "A", "seen_at": "2.000000"}
    assert world.live() == "g1"
    assert world.state() == ("live", 1)
    store.check(later)


@pytest.mark.parametrize("last", [product("b"), removed("a"), Changes([], [], [], 5)], ids=["put", "remove", "none"])
def test_the_last_write_is_missed(world: Any, last: Changes) -> None:
    store, term = leader(world)
    store.write(product("a"), 1, term)
    dump = world.dump()
    store.write(last, 2, term)
    world.restore(dump)
    with pytest.raises(StoreLost):
        store.check(term)
    with pytest.raises(StoreLost):
        store.write(product("c"), 3, term)
    later = store.lead("one", 0)
    store.begin(later)
    store.write(product("c"), 4, later)
    store.check(later)


def test_a_removal_is_missed(world: Any) -> None:
    store, term = leader(world)
    store.write(product("a"), 1, term)
    dump = world.dump()
    store.remove(["a"], term)
    world.restore(dump)
    with pytest.raises(StoreLost):
        store.check(term)


def test_a_dump_of_an_older_term_is_noticed(world: Any) -> None:
    store, term = leader(world)
    store.write(product("a"), 1, term)
    dump = world.dump()
    later = store.lead("one", 0)
    store.begin(later)
    store.write(product("a"), 2, later)
    world.restore(dump)
    for call in (lambda: store.check(later), lambda: store.write(product("a"), 3, later), lambda: store.begin(later)):
        with pytest.raises(StoreLost):
            call()
    assert store.lead("one", later) > later


def test_a_generation_that_was_not_live_does_not_become_it_by_a_loss(world: Any) -> None:
    first, term = leader(world)
    first.ready(1, term, claim=True)
    other = world.store("g2")
    other.open(Generation(name="g2", model="m", dim=4, k=3))
    assert other.was_live() is False
    world.lose()
    later = other.lead("three", 0)
    other.begin(later)
    assert other.was_live() is False
    other.ready(1, later, claim=bool(other.was_live()))
    assert world.live() is None
    assert world.state("g2") == ("ready", 1)
    assert first.was_live() is True


def test_what_is_live_is_seen_by_each_beat(world: Any) -> None:
    store, term = leader(world)
    assert store.was_live() is None
    world.promote("g2")
    store.lead("one", term)
    assert store.was_live() is False
    world.promote("g1")
    store.lead("one", term)
    assert store.was_live() is True


def test_opening_takes_no_lead_and_leaves_the_lease_alone(world: Any) -> None:
    store, term = leader(world)
    store.write(product("a"), 1, term)
    opened(world)
    store.check(term)
    assert store.lead("one", term) == term
    assert opened(world).lead("two", 0) == 0
