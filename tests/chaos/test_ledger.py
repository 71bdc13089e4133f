"""The ledger, and the comparison with what readers find."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from assortment import Assortment
from comparison import agreement, compare
from ledger import Ledger, State
from stored import Stored, facts_of

K = 5


@pytest.fixture
def shop() -> dict[str, State]:
    """Living products; every seventh is not available."""
    drawn = Assortment(1, 8)
    states = [drawn.create() for _ in range(60)]
    return {state.id: dataclasses.replace(state, available=row % 7 != 0) for row, state in enumerate(states)}


@pytest.fixture
def stored(shop: dict[str, State]) -> Stored:
    """What a service without a fault would store."""
    cards = {id: facts for id, state in shop.items() if (facts := facts_of(state)) is not None}
    return Stored(cards, {id: nearest(shop, id) for id in shop})


def nearest(shop: dict[str, State], id: str) -> list[str]:
    """Written down once more, one by one."""
    own = shop[id].vector / np.linalg.norm(shop[id].vector)
    others = [other for other in shop.values() if other.available and other.id != id]
    others.sort(key=lambda other: -float(other.vector @ own) / float(np.linalg.norm(other.vector)))
    return [other.id for other in others[:K]]


def test_without_a_fault_nothing_is_found(shop: dict[str, State], stored: Stored) -> None:
    found = compare(shop, stored, K)
    assert (found.lost, found.ghosts, found.recall, found.flawed) == ([], [], 1.0, set())
    assert found.expected == len(shop) * K


def test_a_product_without_a_card_is_lost(shop: dict[str, State], stored: Stored) -> None:
    del stored.cards["p3"]
    assert compare(shop, stored, K).lost == ["p3"]


@pytest.mark.parametrize("older", [("0", "1", "true"), (None, None, "true")])
def test_a_card_that_says_something_older_is_lost(
    shop: dict[str, State], stored: Stored, older: tuple[str | None, str | None, str]
) -> None:
    stored.cards["p3"] = older
    assert compare(shop, stored, K).lost == ["p3"]


def test_what_is_stored_of_a_deleted_product_is_a_ghost(shop: dict[str, State], stored: Stored) -> None:
    stored.cards["gone"] = ("1", "2", "true")
    stored.lists["gone too"] = []
    assert compare(shop, stored, K).ghosts == ["gone", "gone too"]


@pytest.mark.parametrize("member", ["gone", "p7", "p3"])
def test_a_member_that_may_not_be_there_is_a_ghost(shop: dict[str, State], stored: Stored, member: str) -> None:
    stored.lists["p3"][0] = member
    found = compare(shop, stored, K)
    assert found.ghosts == [f"{member} on p3"]
    assert found.right == found.expected - 1


def test_a_wrong_list_lowers_the_recall(shop: dict[str, State], stored: Stored) -> None:
    stored.lists["p3"][-1] = next(id for id in shop if id not in [*nearest(shop, "p3"), "p3"] and shop[id].available)
    stored.lists["p4"] = []
    found = compare(shop, stored, K)
    assert found.right == found.expected - 1 - K
    assert found.flawed == {"p3", "p4"}


def test_lists_of_two_generations_agree_up_to_ties(shop: dict[str, State], stored: Stored) -> None:
    other = Stored(stored.cards, {id: list(members) for id, members in stored.lists.items()})
    assert agreement(stored, other, set()) == 1.0
    other.lists["p3"] = other.lists["p3"][:-1]
    assert agreement(stored, other, set()) == 1.0
    assert agreement(stored, other, {"p3"}) == 1 - 1 / len(shop)


def test_the_truth_is_what_was_acknowledged(shop: dict[str, State]) -> None:
    ledger, state = Ledger(), shop["p1"]
    ledger.say("p1", state)
    assert not ledger.settled()
    assert ledger.acknowledged() == {}
    ledger.report("p1", acknowledged=True, partition=3)
    assert ledger.settled()
    assert ledger.live() == {"p1": state}
    assert ledger.partition_of == {"p1": 3}
    ledger.say("p1", None)
    ledger.report("p1", acknowledged=True)
    assert ledger.live() == {}
    assert ledger.acknowledged() == {"p1": None}
    assert ledger.numbers()["p1"] == ledger.taken == 2


def test_what_is_forgotten_is_gone(shop: dict[str, State]) -> None:
    ledger = Ledger()
    ledger.say("p1", shop["p1"])
    ledger.report("p1", acknowledged=True)
    before = ledger.numbers()
    ledger.forget("p1")
    assert ledger.acknowledged() == {"p1": None}
    assert ledger.numbers() != before
    assert ledger.settled()


def test_what_failed_is_to_be_said_again(shop: dict[str, State]) -> None:
    ledger = Ledger()
    ledger.say("p1", shop["p1"])
    ledger.say("p1", shop["p2"])
    ledger.report("p1", acknowledged=False)
    ledger.report("p1", acknowledged=True)
    assert ledger.failed() == ["p1"]
    assert not ledger.settled()
    assert ledger.acknowledged() == {}
    ledger.say("p1", shop["p2"])
    assert ledger.failed() == []
    ledger.report("p1", acknowledged=True)
    assert ledger.acknowledged() == {"p1": shop["p2"]}


def test_the_same_seed_draws_the_same_shop() -> None:
    one, other = (Assortment(5, 8) for _ in range(2))
    for shop in (one, other):
        for _ in range(50):
            shop.create()
    seen = [one.change() for _ in range(300)]
    again = [other.change() for _ in range(300)]
    assert [(id, state and state.event()) for id, state in seen] == [
        (id, state and state.event()) for id, state in again
    ]
    assert {state is None for _, state in seen} == {True, False}
    versions = [state.version for id, state in seen if state is not None and id == seen[0][0]]
    assert versions == sorted(versions)
