"""The contract of consumer.ports.Store, run on every implementation: what readers see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from consumer.errors import KinstreamError
from consumer.ports import Store
from consumer.types import CardWrite, Changes, Generation, ListWrite

G1 = Generation(name="g1", model="m", dim=4, k=3, created_at=5.0)
View = Callable[[str], tuple[list[tuple[str, float]] | None, dict[str, str] | None]]
PER_SLOT_AND_MORE = 2500


class Leading:
    """A store that leads, under its term."""

    def __init__(self, store: Store, generation: Generation = G1) -> None:
        self.store = store
        store.open(generation)
        self.term = store.lead("one", 0)
        store.begin(self.term)

    def write(self, now: float = 1.0, **parts: Any) -> None:
        self.store.write(Changes(**{"lists": [], "cards": [], "removed": [], "products": 0, **parts}), now, self.term)


@pytest.fixture
def leading(world: Any) -> Leading:
    return Leading(world.store())


@pytest.fixture
def view(world: Any) -> View:
    """What a reader sees of a product: its list and its card."""
    seen: View = world.view
    return seen


def test_lists_and_cards_are_readable(leading: Leading, view: View) -> None:
    neighbours = [("b", 0.75), ("é}{", 0.5), ("c", -0.25)]
    leading.write(12.5, lists=[ListWrite("a", neighbours)], cards=[CardWrite("a", {"title": "A"})])
    assert view("a") == (neighbours, {"title": "A", "seen_at": "12.500000"})
    assert view("b") == (None, None)


def test_a_list_is_replaced_as_a_whole(leading: Leading, view: View) -> None:
    leading.write(lists=[ListWrite("a", [("b", 0.9), ("c", 0.8), ("d", 0.7)])])
    leading.write(lists=[ListWrite("a", [("e", 0.5)])])
    assert view("a")[0] == [("e", 0.5)]


def test_a_list_may_become_empty(leading: Leading, view: View) -> None:
    leading.write(lists=[ListWrite("a", [("b", 0.9)])], cards=[CardWrite("a", {"title": "A"})])
    leading.write(lists=[ListWrite("a", [])])
    assert not view("a")[0]
    assert view("a")[1] is not None


def test_a_card_that_lost_a_field_loses_it_for_readers(leading: Leading, view: View) -> None:
    leading.write(cards=[CardWrite("a", {"title": "A", "price": "3"})])
    leading.write(2, cards=[CardWrite("a", {"title": "A"}, gone=True)])
    assert view("a")[1] == {"title": "A", "seen_at": "2.000000"}


def test_facts_are_written_over_the_card(leading: Leading, view: View) -> None:
    leading.write(cards=[CardWrite("a", {"title": "A", "price": "3"})])
    leading.write(2, cards=[CardWrite("a", {"title": "A", "price": "4"}, facts_only=True)])
    assert view("a")[1] == {"title": "A", "price": "4", "seen_at": "2.000000"}


@pytest.mark.parametrize("id", ["a", "}", "}a", "é}{", "{", "a b\n"])
def test_removed_products_leave_nothing(leading: Leading, view: View, id: str) -> None:
    both: dict[str, Any] = {"lists": [ListWrite(id, [("b", 0.9)])], "cards": [CardWrite(id, {"title": "A"})]}
    leading.write(**both)
    assert view(id)[0] == [("b", 0.9)]
    leading.write(removed=[id, "never there"])
    assert view(id) == (None, None)
    leading.write(**both)
    leading.store.remove([id], leading.term)
    assert view(id) == (None, None)


def test_ids_are_those_with_a_list_or_a_card(leading: Leading) -> None:
    leading.write(lists=[ListWrite("a", [("x", 0.9)])], cards=[CardWrite("é}{", {"title": "B"})])
    assert set(leading.store.ids()) == {"a", "é}{"}


def test_writing_again_changes_nothing(leading: Leading, view: View) -> None:
    both: dict[str, Any] = {"lists": [ListWrite("a", [("b", 0.9)])], "cards": [CardWrite("a", {"title": "A"})]}
    leading.write(**both)
    before = view("a")
    leading.write(**both)
    assert view("a") == before


def test_thousands_of_changes_in_one_write(leading: Leading, view: View) -> None:
    lists = [ListWrite(str(n), [(str(n + 1), 0.5)]) for n in range(PER_SLOT_AND_MORE)]
    leading.write(lists=lists, products=PER_SLOT_AND_MORE)
    assert all(view(str(n))[0] == [(str(n + 1), 0.5)] for n in range(PER_SLOT_AND_MORE))
    leading.store.check(leading.term)


def test_a_generation_of_other_settings_is_refused(leading: Leading) -> None:
    leading.store.open(G1)
    with pytest.raises(KinstreamError, match=r"dim 4.*8"):
        leading.store.open(Generation(name="g1", model="m", dim=8, k=3))
    with pytest.raises(KinstreamError, match=r"model m.*other"):
        leading.store.open(Generation(name="g1", model="other", dim=4, k=3))


def test_the_first_ready_generation_becomes_live_and_no_other(world: Any) -> None:
    for name in ("g1", "g2"):
        leading = Leading(world.store(name), Generation(name=name, model="m", dim=4, k=3, created_at=5.0))
        assert world.state(name) == ("building", 0)
        leading.store.ready(7, leading.term, claim=True)
        assert leading.store.was_live() is (name == "g1")
    assert world.live() == "g1"
    assert (world.state("g1"), world.state("g2")) == (("live", 7), ("ready", 7))


def test_a_promoted_generation_is_live_once_it_is_ready_again(world: Any, leading: Leading) -> None:
    world.promote("g1")
    leading.store.ready(7, leading.term, claim=False)
    assert world.state("g1") == ("live", 7)
    leading.store.ready(8, leading.term, claim=False)
    assert world.state("g1") == ("live", 8)
