"""Batches: pairs of one group, no group twice, hard negatives of other groups, the same after a restart."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.dataset import Dataset, Pair
from model.data.errors import DataError
from model.data.items import Item, items_of
from model.data.sampler import NONE, PairBatch, PairBatches
from producer.events import Product

GROUPS = st.lists(st.integers(0, 8), min_size=1, max_size=40)
BATCH = st.integers(1, 12)


def shop_of(groups: list[int], source: str = "shop") -> list[Item]:
    return [Item(source, Product(id=f"p{at}", title="x")) for at in range(len(groups))]


def rows(batch: PairBatch) -> list[list[int]]:
    return [batch.anchors.tolist(), batch.positives.tolist(), batch.negatives.tolist()]


@given(GROUPS, BATCH, st.integers(0, 3))
def test_pairs_are_of_one_group_and_no_group_is_twice_in_a_batch(groups: list[int], batch: int, epoch: int) -> None:
    sizes = Counter(groups)
    batches = PairBatches(shop_of(groups), groups, batch, 7)

    drawn = list(batches.epoch(epoch))

    assert [(each.epoch, each.step) for each in drawn] == [(epoch, step) for step in range(len(batches))]
    for each in drawn:
        assert 1 <= len(each.anchors) <= batch
        assert each.anchors.dtype == each.positives.dtype == each.negatives.dtype == np.int64
        assert len({groups[anchor] for anchor in each.anchors}) == len(each.anchors)
        for anchor, positive in zip(each.anchors, each.positives, strict=True):
            assert groups[anchor] == groups[positive]
            assert (anchor == positive) == (sizes[groups[anchor]] == 1)
        assert set(each.negatives) <= {NONE}


@given(GROUPS, BATCH, st.booleans())
def test_every_item_is_in_a_pair_unless_its_group_outnumbers_the_batches(
    groups: list[int], batch: int, repeat: bool
) -> None:
    batches = PairBatches(shop_of(groups), groups, batch, 7, repeat_groups=repeat)
    pairs = {group: (size + 1) // 2 for group, size in Counter(groups).items()}

    drawn = list(batches.epoch(0))

    seen = Counter(groups[anchor] for each in drawn for anchor in each.anchors)
    assert seen == {group: number if repeat else min(number, len(batches)) for group, number in pairs.items()}
    uses = Counter(
        int(at) for each in drawn for pair in zip(each.anchors, each.positives, strict=True) for at in set(pair)
    )
    assert max(uses.values()) <= 2
    if repeat or max(pairs.values()) <= len(batches):
        assert set(uses) == set(range(len(groups)))
        assert max(len(each.anchors) for each in drawn) - min(len(each.anchors) for each in drawn) <= 1


@settings(max_examples=30)
@given(GROUPS, BATCH, st.integers(0, 30))
def test_an_epoch_goes_on_at_any_step(groups: list[int], batch: int, start: int) -> None:
    hard = {"shop/p0": [f"shop/p{at}" for at in range(len(groups))]}
    whole = [rows(each) for each in PairBatches(shop_of(groups), groups, batch, 7, hard).epoch(3)]
    rest = [rows(each) for each in PairBatches(shop_of(groups), groups, batch, 7, hard).epoch(3, start)]

    assert rest == whole[start:]


def test_seeds_and_epochs_differ() -> None:
    groups = [at // 3 for at in range(60)]
    one, two = (PairBatches(shop_of(groups), groups, 8, seed) for seed in (1, 2))
    orders = [[rows(each) for each in batches.epoch(epoch)] for batches in (one, two) for epoch in (0, 1)]

    assert all(orders[left] != orders[right] for left in range(4) for right in range(left))


def test_all_partners_occur() -> None:
    groups = [0, 0, 0, 1]
    batches = PairBatches(shop_of(groups), groups, 2, 7)
    seen = {
        (int(anchor), int(positive))
        for epoch in range(60)
        for each in batches.epoch(epoch)
        for anchor, positive in zip(each.anchors, each.positives, strict=True)
    }

    assert seen == {(a, b) for a in range(3) for b in range(3) if a != b} | {(3, 3)}


def test_hard_negatives_are_of_other_groups() -> None:
    groups = [0, 0, 1, 1, 2, 3]
    hard = {"shop/p0": ["shop/p1", "shop/p2", "shop/p4"], "shop/p1": ["shop/p0"], "shop/p2": ["shop/p0"]}
    batches = PairBatches(shop_of(groups), groups, 4, 7, hard)
    drawn: dict[int, set[int]] = {}
    for epoch in range(60):
        for each in batches.epoch(epoch):
            for anchor, negative in zip(each.anchors, each.negatives, strict=True):
                drawn.setdefault(int(anchor), set()).add(int(negative))

    assert drawn == {0: {2, 4}, 1: {NONE}, 2: {0}, 3: {NONE}, 4: {NONE}, 5: {NONE}}


def test_sources_are_mixed_by_weight() -> None:
    items = [*shop_of([0] * 90, "large"), *shop_of([0] * 10, "small")]
    groups = list(range(100))
    even = PairBatches(items, groups, 10, 7, weights={"large": 1, "small": 1})
    natural = PairBatches(items, groups, 10, 7)

    assert len(even) == len(natural) == 10
    assert shares(even, items) == Counter(large=50, small=50)
    assert shares(natural, items) == Counter(large=90, small=10)
    uses = Counter(int(anchor) for each in even.epoch(0) for anchor in each.anchors if anchor >= 90)
    assert set(uses.values()) == {5}, "a source that is gone through more than once is gone through evenly"


def test_many_groups_are_each_at_most_once_in_a_large_batch() -> None:
    groups = [at // 4 for at in range(400)]

    for each in PairBatches(shop_of(groups), groups, 50, 7).epoch(0):
        assert len({groups[anchor] for anchor in each.anchors}) == len(each.anchors) == 50


def test_an_epoch_of_one_group_has_batches_of_one_pair() -> None:
    drawn = list(PairBatches(shop_of([0] * 100), [0] * 100, 10, 7).epoch(0))

    assert [len(each.anchors) for each in drawn] == [1] * 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": [], "groups": []}, "0 items with 0 groups"),
        ({"groups": [1]}, "2 items with 1 groups"),
        ({"batch": 0}, "batch=0 is below 1"),
        ({"weights": {"shop": 0}}, "do not fit: give each of shop a positive"),
        ({"weights": {"shop": 1, "other": 1}}, "do not fit"),
        ({"negatives": {"shop/p0": ["shop/p9"]}}, "1 unknown items such as shop/p9"),
        ({"negatives": {"p0": ["shop/p1"]}}, "1 unknown items such as p0"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], message: str) -> None:
    arguments = {"items": shop_of([0, 1]), "groups": [0, 1], "batch": 2, "seed": 7} | change

    with pytest.raises(DataError, match=message):
        PairBatches(**arguments)  # type: ignore[arg-type]


def dataset(name: str, pairs: list[Pair]) -> Dataset:
    return Dataset(name, {id: Product(id=id, title=id) for id in "abcdef"}, pairs)


def test_items_of_two_sources_share_no_group() -> None:
    one = dataset("one", [Pair("a", "b", True, "train"), Pair("a", "c", False, "train"), Pair("d", "e", True, "test")])
    two = dataset("two", [Pair("a", "c", True, "train")])

    found = items_of([one, two], ("train",))

    grouped = {item.key: group for item, group in zip(found.items, found.groups, strict=True)}
    assert len(grouped) == 12
    assert grouped["one/a"] == grouped["one/b"]
    assert grouped["two/a"] == grouped["two/c"]
    assert len(set(grouped.values())) == 10
    assert found.negatives == {"one/a": ["one/c"], "one/c": ["one/a"]}
    PairBatches(found.items, found.groups, 4, 7, found.negatives)


def test_products_of_other_splits_can_be_left_out() -> None:
    source = dataset(
        "one", [Pair("a", "b", False, "train"), Pair("b", "c", True, "test"), Pair("d", "e", True, "test")]
    )

    found = items_of([source], ("train",), without=("test",))

    assert [item.key for item in found.items] == ["one/a", "one/b", "one/f"]


def test_sources_need_names_of_their_own() -> None:
    with pytest.raises(DataError, match="repeat a name"):
        items_of([dataset("one", []), dataset("one", [])], ("train",))


def shares(batches: PairBatches, items: list[Item]) -> Counter[str]:
    return Counter(items[anchor].source for each in batches.epoch(0) for anchor in each.anchors)
