"""Groups join what is the same; splits cut none of them; leaks are counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.dataset import Dataset, Pair
from model.data.errors import DataError
from model.data.groups import conflicts, groups_of
from model.data.readers import read_named
from model.data.splits import Leak, leaked_products, leaks, parted, split_by_group, with_splits
from producer.events import Product

IDS = [f"p{i}" for i in range(12)]
PAIRS = st.lists(
    st.builds(Pair, st.sampled_from(IDS), st.sampled_from(IDS), st.booleans(), st.sampled_from(["train", "test"])),
    max_size=15,
)
CLUSTERS = st.dictionaries(st.sampled_from(IDS), st.sampled_from(["k", "l", "m"]))


def dataset_of(pairs: list[Pair], clusters: dict[str, str] | None = None, ids: list[str] = IDS) -> Dataset:
    return Dataset("shop", {id: Product(id=id, title=id) for id in ids}, pairs, clusters or {})


def components(ids: list[str], edges: list[tuple[str, str]]) -> set[frozenset[str]]:
    """Connected parts, found by flooding."""
    parts, left = set(), set(ids)
    while left:
        part = {left.pop()}
        while grown := {id for edge in edges if part & set(edge) for id in edge} - part:
            part |= grown
        left -= part
        parts.add(frozenset(part))
    return parts


def parts_of(groups: dict[str, int]) -> set[frozenset[str]]:
    return {frozenset(id for id in groups if groups[id] == group) for group in groups.values()}


@given(PAIRS, CLUSTERS)
def test_groups_are_the_connected_parts(pairs: list[Pair], clusters: dict[str, str]) -> None:
    edges = [(pair.left, pair.right) for pair in pairs if pair.same]
    edges += [(a, b) for a in clusters for b in clusters if clusters[a] == clusters[b]]

    groups = groups_of(dataset_of(pairs, clusters), None)

    assert list(groups) == IDS
    assert parts_of(groups) == components(IDS, edges)
    assert set(groups.values()) == set(range(len(set(groups.values()))))


@given(PAIRS)
def test_the_order_of_pairs_does_not_matter(pairs: list[Pair]) -> None:
    assert groups_of(dataset_of(pairs), ("train",)) == groups_of(dataset_of(pairs[::-1]), ("train",))


def test_matches_and_clusters_of_other_splits_are_not_used() -> None:
    pairs = [Pair("a", "b", True, "train"), Pair("c", "d", True, "test"), Pair("a", "f", False, "train")]
    clusters = {"a": "k", "f": "k", "e": "l", "g": "l"}

    groups = groups_of(dataset_of(pairs, clusters, list("abcdefg")), ("train",))

    assert parts_of(groups) == {frozenset("abf"), *map(frozenset, "cdeg")}


def test_clusters_join_all_where_there_are_no_pairs() -> None:
    assert parts_of(groups_of(dataset_of([], {"a": "k", "b": "k"}, list("abc")), ("train",))) == {
        frozenset("ab"),
        frozenset("c"),
    }


def test_conflicts_are_negatives_inside_a_group() -> None:
    wrong = Pair("a", "c", False, "train")
    dataset = dataset_of(
        [Pair("a", "b", True, "train"), Pair("b", "c", True, "train"), wrong, Pair("a", "c", False, "test")],
        ids=list("abc"),
    )

    assert conflicts(dataset, groups_of(dataset, ("train",)), ("train",)) == [wrong]


@given(PAIRS, CLUSTERS, st.integers(0, 3))
def test_no_split_cuts_a_group(pairs: list[Pair], clusters: dict[str, str], seed: int) -> None:
    dataset = dataset_of(pairs, clusters)
    split_of = split_by_group(dataset, {"train": 0.5, "valid": 0.25, "test": 0.25}, seed)
    groups = groups_of(dataset, None)

    assert set(split_of) == set(IDS)
    assert all(len({split_of[id] for id in part}) == 1 for part in parts_of(groups))
    largest = max(Counter(groups.values()).values())
    assert abs(list(split_of.values()).count("train") - 6) <= largest


def test_with_its_own_splits_nothing_leaks() -> None:
    pairs = [Pair(f"p{i}", f"p{(i * 5 + 1) % 12}", i % 3 == 0, "x") for i in range(12) if i != (i * 5 + 1) % 12]
    dataset = dataset_of(pairs)
    split_of = split_by_group(dataset, {"train": 0.6, "test": 0.4}, 0)

    fresh = with_splits(dataset, split_of)

    assert {pair.split for pair in fresh.pairs} == {"train", "test"}
    assert [pair for pair in fresh.pairs if pair.same] == [
        replace(pair, split=split_of[pair.left]) for pair in pairs if pair.same
    ]
    assert all(leak.unseen == leak.pairs for leak in leaks(fresh).values())


def test_splits_are_random_by_seed_only() -> None:
    dataset = dataset_of([])
    shuffled = dataset_of([], ids=IDS[::-1])
    fractions = {"train": 0.5, "test": 0.5}

    assert split_by_group(dataset, fractions, 1) == split_by_group(shuffled, fractions, 1)
    assert split_by_group(dataset, fractions, 1) != split_by_group(dataset, fractions, 2)


@pytest.mark.parametrize("fractions", [{}, {"train": 0.5}, {"train": 1.5, "test": -0.5}])
def test_fractions_must_sum_to_one(fractions: dict[str, float]) -> None:
    with pytest.raises(DataError, match="do not sum to 1"):
        split_by_group(dataset_of([]), fractions, 0)


def test_leaks_tell_what_training_sees() -> None:
    pairs = [
        Pair("a", "b", True, "train"),
        Pair("a", "c", False, "train"),
        Pair("b", "a", True, "test"),
        Pair("c", "b", False, "test"),
        Pair("c", "x", True, "test"),
        Pair("y", "z", True, "test"),
        Pair("u", "v", True, "test"),
    ]
    dataset = dataset_of(pairs, {"a": "k", "y": "k", "u": "l"}, list("abcuvxyz"))

    assert leaks(dataset) == {"test": Leak(pairs=5, repeated=1, both=2, one=1, matched=2, clustered=1)}
    assert leaks(dataset)["test"].unseen == 1
    seen, unseen = parted(dataset, "test")
    assert (seen, unseen) == (pairs[2:6], pairs[6:])
    assert leaked_products(dataset, "test") == set("abc")


@pytest.mark.shared
@pytest.mark.parametrize(("name", "known"), [("abt_buy", 4), ("amazon_google", 43)])
def test_matches_whose_query_is_in_a_match_of_train(shared_data: Path, name: str, known: int) -> None:
    dataset = read_named(shared_data, name)
    trained = {pair.left for pair in dataset.pairs if pair.same and pair.split == "train"}

    assert sum(pair.left in trained for pair in dataset.pairs if pair.same and pair.split == "test") == known


@pytest.mark.shared
def test_groups_of_wdc(shared_data: Path) -> None:
    dataset = read_named(shared_data, "wdc_lspc_titles")
    sizes = Counter(groups_of(dataset, ("train", "extra")).values())
    joined = [size for size in sizes.values() if size > 1]

    assert (len(joined), sum(joined)) == (2306, 11_821)


@pytest.mark.shared
def test_only_test_om_is_honest_in_ali(shared_data: Path) -> None:
    dataset = read_named(shared_data, "ali_ember_zh")
    found = leaks(dataset)

    assert sum(leak.repeated for split, leak in found.items() if split != "valid") == 1360
    assert {split: leak.unseen for split, leak in found.items()} == {
        "valid": 0,
        "test": 0,
        "test_cfm": 0,
        "test_rl": 0,
        "test_om": 7358,
    }
    assert conflicts(dataset, groups_of(dataset, None), None) == []
    for part in ("all", "shoes", "clothing", "accessories"):
        alone = replace(dataset, pairs=[pair for pair in dataset.pairs if pair.part == part])
        assert leaks(alone)["test_om"].unseen == 2000, "within a part the source keeps its promise"
