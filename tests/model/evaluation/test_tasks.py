"""Who searches, what is searched, and what is right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.data.dataset import Dataset
from model.evaluation.tasks import WHOLE, Query, cluster_mates, one_catalogue, same_attributes, two_tables


def test_two_tables_search_the_whole_of_the_other_side(shop: Dataset) -> None:
    task = two_tables(shop, "test")

    assert task.queries == [Query("A1", ("B1",)), Query("A2", ("B2", "B4"))]
    assert task.candidates == ["B0", "B1", "B2", "B3", "B4"]
    assert (task.split, task.counting) == ("test", "matches")


def test_a_pair_written_from_b_to_a_is_searched_from_a(shop: Dataset) -> None:
    turned = replace(shop, pairs=[replace(pair, left=pair.right, right=pair.left) for pair in shop.pairs])

    assert two_tables(turned, "test").queries == two_tables(shop, "test").queries


def test_the_whole_set_marks_the_products_that_training_has_seen(shop: Dataset) -> None:
    assert {query.id: query.seen for query in two_tables(shop, WHOLE).queries} == {
        "A3": True,
        "A0": False,
        "A1": False,
        "A2": False,
    }


def test_one_catalogue_searches_both_ways_and_hides_what_is_known_from_elsewhere(catalogue: Dataset) -> None:
    task = one_catalogue(catalogue, "test")

    assert task.queries == [
        Query("p0", ("p1",), ("p0", "p2"), seen=True),
        Query("p1", ("p0",), ("p1",)),
        Query("p3", ("p4",), ("p3",)),
        Query("p4", ("p3",), ("p4",)),
    ]
    assert (len(task.candidates), task.counting) == (6, "filtered")


def test_cluster_mates_are_all_members_however_they_are_known(catalogue: Dataset) -> None:
    task = cluster_mates(catalogue, "test")

    assert task.queries[:2] == [Query("p0", ("p1", "p2"), ("p0",), seen=True), Query("p1", ("p0", "p2"), ("p1",))]
    assert task.counting == "capped"


def test_same_attributes_stays_within_the_products_held_out(pictures: Dataset) -> None:
    task = same_attributes(pictures, ["q0", "q1", "q2", "q5"])

    assert {query.id: query.right for query in task.queries} == {
        "q0": ("q1",),
        "q1": ("q0",),
        "q2": ("q5",),
        "q5": ("q2",),
    }
    assert task.candidates == ["q0", "q1", "q2", "q5"]


def test_a_split_without_matches_names_those_that_there_are(shop: Dataset) -> None:
    with pytest.raises(ValueError, match=r"shop has no match in split 'tset': it has test, train, valid"):
        two_tables(shop, "tset")


def test_each_protocol_says_which_other_fits(shop: Dataset, catalogue: Dataset, pictures: Dataset) -> None:
    with pytest.raises(ValueError, match="use one_catalogue or cluster_mates"):
        two_tables(catalogue, "test")
    with pytest.raises(ValueError, match="use two_tables or one_catalogue"):
        cluster_mates(shop, "test")
    with pytest.raises(ValueError, match="no query has a right answer"):
        same_attributes(pictures, ["q0", "q2"])
