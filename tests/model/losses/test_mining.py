"""Hard negatives against a brute-force search, from given lists, given vectors, and an export; no torch anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from consumer.errors import KinstreamError
from consumer.export import write_export
from consumer.types import Export, Generation
from model.losses.live import EXACT_BELOW, lists_of, lists_of_export
from model.losses.mining import Lists, hard_negatives

LISTS = Lists(
    ["a", "b", "c", "d"],
    np.array([[1, 2, 3], [0, 3, 2], [3, 0, 1], [2, -1, -1]], np.int32),
    np.array([[0.0, 0.1, 0.4], [0.0, 0.2, 0.3], [0.05, 0.1, 0.3], [0.05, np.inf, np.inf]], np.float32),
)
GROUPS = {"a": 0, "b": 0, "c": 1, "d": 2}


def test_nearest_ones_of_other_groups_come_nearest_first() -> None:
    assert hard_negatives(LISTS, GROUPS, 3) == {"a": ("c", "d"), "b": ("d", "c"), "c": ("d", "a", "b"), "d": ("c",)}
    assert hard_negatives(LISTS, GROUPS, 1) == {"a": ("c",), "b": ("d",), "c": ("d",), "d": ("c",)}


def test_what_is_nearer_than_the_margin_is_likely_a_match_and_left_out() -> None:
    mined = hard_negatives(LISTS, GROUPS, 3, false_negative_margin=0.15)
    assert mined == {"a": ("d",), "b": ("d", "c"), "c": ("b",), "d": ()}


def test_products_without_a_group_have_no_negatives_and_are_none() -> None:
    assert hard_negatives(LISTS, {"a": 0, "b": 0, "d": 2}, 3) == {"a": ("d",), "b": ("d",), "d": ()}
    assert hard_negatives(LISTS, {"a": 0, "c": -7, "elsewhere": 5}, 3) == {"a": ("c",), "c": ("a",)}


def test_padding_is_never_a_negative() -> None:
    padded = Lists(["a", "b"], np.array([[-1], [0]], np.int32), np.array([[0.5], [0.5]], np.float32))
    assert hard_negatives(padded, {"a": 0, "b": 1}, 1) == {"a": (), "b": ("a",)}


def brute_force(
    ids: list[str], vectors: np.ndarray, metric: str, groups: dict[str, int], margin: float
) -> dict[str, set[str]]:
    """The five nearest of other groups that are no nearer than the margin."""
    mined = {}
    for row, identity in enumerate(ids):
        if metric == "cosine":
            distances = 1 - vectors @ vectors[row] / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors[row])
        else:
            distances = np.linalg.norm(vectors - vectors[row], axis=1)
        others = [at for at in np.argsort(distances) if groups[ids[at]] != groups[identity] and distances[at] >= margin]
        mined[identity] = {ids[at] for at in others[:5]}
    return mined


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_lists_of_the_graph_hold_the_hardest(metric: str) -> None:
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(600, 8)) * rng.uniform(0.5, 2, size=(600, 1))
    ids = [f"p{row:03d}" for row in range(600)]
    groups = {identity: row // 3 for row, identity in enumerate(ids)}
    margin = 0.1 if metric == "cosine" else 1.0
    lists = lists_of(ids, vectors, 60, metric)
    mined = hard_negatives(lists, groups, 5, margin)
    assert {identity: set(found) for identity, found in mined.items()} == brute_force(
        ids, vectors, metric, groups, margin
    )


def test_a_large_catalogue_goes_through_the_approximate_index() -> None:
    count = EXACT_BELOW + 100
    vectors = np.random.default_rng(6).normal(size=(count, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lists = lists_of([str(row) for row in range(count)], vectors, 10)
    nearest = np.argsort(-(vectors @ vectors.T), axis=1)[:, 1:11]
    shares = [
        len(set(found) & set(exact)) / 10 for found, exact in zip(lists.near.tolist(), nearest.tolist(), strict=True)
    ]
    assert np.mean(shares) > 0.99


def test_identical_products_are_named_at_distance_0() -> None:
    lists = lists_of(["a", "b", "c"], np.array([[1.0, 0], [2.0, 0], [0, 1.0]]), 2)
    assert lists.near.tolist() == [[1, 2], [0, 2], [0, 1]]
    np.testing.assert_allclose(lists.distances, [[0, 1], [0, 1], [1, 1]], atol=1e-6)
    assert hard_negatives(lists, {"a": 0, "b": 1, "c": 2}, 2, 1e-3)["a"] == ("c",)


def export_of(metric: str) -> Export:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [3, 0.1]], np.float32)
    generation = Generation(name="g1", model="m", dim=2, k=2, metric=metric)  # type: ignore[arg-type]
    return Export(generation, ["a", "b", "c", "d"], vectors, np.array([True, True, False, True]))


@pytest.mark.parametrize(("metric", "first"), [("cosine", "d"), ("euclidean", "b")])
def test_an_export_is_listed_by_the_metric_of_its_generation(tmp_path: Path, metric: str, first: str) -> None:
    with (tmp_path / "export.npz").open("wb") as file:
        write_export(file, export_of(metric))
    lists = lists_of_export(tmp_path / "export.npz", 3)
    mined = hard_negatives(lists, {"a": 0, "b": 1, "c": 2, "d": 3}, 3)
    assert mined["a"][0] == first
    assert set(mined["a"]) == {"b", "c", "d"}  # c is not on offer, and a fine negative


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "export.npz").write_bytes(b"no")
    with pytest.raises(KinstreamError, match=r"export.npz is not a readable export .*: dump it again"):
        lists_of_export(tmp_path / "export.npz", 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k is 0, must be at least 1"),
        ({"ids": ["a", "b"]}, r"vectors is \[3, 2\], there are 2 ids"),
        ({"ids": ["a", "b", "a"]}, "ids has 1 repeated ones"),
        ({"vectors": np.array([[1.0, 0], [0, 0], [0, 1]])}, "not finite for 'b': leave such products out"),
        ({"vectors": np.array([[1.0, 0], [1, 1], [np.nan, 1]])}, "not finite for 'c'"),
        ({"vectors": np.ones(3)}, r"vectors is \[3\]"),
    ],
)
def test_vectors_that_cannot_be_listed_are_refused(change: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"ids": ["a", "b", "c"], "vectors": np.array([[1.0, 0], [1, 1], [0, 1]]), "k": 2}
    with pytest.raises(ValueError, match=message):
        lists_of(**(given | change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("near", "distances", "message"),
    [
        (np.zeros((1, 2), np.int32), np.zeros((2, 2)), r"near is \[1, 2\]"),
        (np.zeros((2, 2), np.int32), np.zeros((2, 3)), r"distances is \[2, 3\], there are 2 ids"),
        (np.zeros(2, np.int32), np.zeros(2), r"near is \[2\]"),
        (np.full((2, 1), 2, np.int32), np.zeros((2, 1)), "near names row 2 of 2 ids"),
        (np.full((2, 1), -2, np.int32), np.zeros((2, 1)), "near names row -2 of 2 ids"),
    ],
)
def test_lists_that_do_not_fit_their_ids_are_refused(near: np.ndarray, distances: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lists(["a", "b"], near, distances)


@pytest.mark.parametrize(
    ("groups", "count", "margin", "message"),
    [
        (GROUPS, 0, 0.0, "count is 0, must be at least 1"),
        (GROUPS, 1, -0.1, "false_negative_margin is -0.1, must be at least 0"),
        (GROUPS, 1, float("nan"), "false_negative_margin is nan"),
        ({"x": 1}, 1, 0.0, "groups has none of the 4 ids of lists: make lists and groups of one catalogue"),
    ],
)
def test_settings_that_mine_nothing_are_refused(
    groups: dict[str, int], count: int, margin: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        hard_negatives(LISTS, groups, count, margin)


def test_mining_needs_no_torch() -> None:
    code = "import sys, model.losses.mining, model.losses.live; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
