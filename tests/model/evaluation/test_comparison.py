"""Lists of two bundles against a plain sort, and what is said about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation import comparison
from model.evaluation.comparison import compare, compare_bundles, nearest
from model.evaluation.comparison_view import comparison_grids
from model.evaluation.rendering import markdown
from producer.events import Product

PRODUCTS = [Product(id=f"p{at}", title=f"title {at}") for at in range(5)]


def on_a_circle(*degrees: float) -> np.ndarray:
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@given(st.lists(st.sampled_from([0, 0, 10, 25, 90, 180]), min_size=2, max_size=9), st.integers(1, 4))
def test_lists_are_those_of_a_stable_sort(degrees: list[float], k: int) -> None:
    vectors = on_a_circle(*degrees)
    k = min(k, len(degrees) - 1)

    lists, scores = nearest(vectors, k)

    for row, found in enumerate(lists):
        others = [at for at in range(len(degrees)) if at != row]
        expected = sorted(others, key=lambda at: -round(np.cos(np.deg2rad(degrees[row] - degrees[at])), 5))
        assert found.tolist() == expected[:k]
        assert scores[row] == pytest.approx(vectors[found] @ vectors[row], abs=1e-5)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = on_a_circle(*np.random.default_rng(2).uniform(0, 360, 20))
    whole = nearest(vectors, 3)[0].tolist()

    monkeypatch.setattr(comparison, "BLOCK", 7)

    assert nearest(vectors, 3)[0].tolist() == whole


def test_lists_are_counted_by_what_became_of_them() -> None:
    """p4 moves from p3's side to p0's: the lists of p0 and p1 only change order or stay, the others change."""
    before, after = on_a_circle(0, 10, 50, 60, 75), on_a_circle(0, 10, 50, 60, 359)

    found = compare(PRODUCTS, ("old", before), ("new", after), k=2, examples=2)

    assert nearest(before, 2)[0].tolist() == [[1, 2], [0, 2], [3, 4], [2, 4], [3, 2]]
    assert nearest(after, 2)[0].tolist() == [[4, 1], [0, 4], [3, 1], [2, 1], [0, 1]]
    assert (found.same, found.reordered, found.changed) == (0, 0, 5)
    assert found.distribution == [1, 4, 0]
    assert found.overlap == pytest.approx(4 / 10)
    assert [(example.id, example.overlap) for example in found.examples] == [("p4", 0.0), ("p0", 0.5)]
    assert [entry.title for entry in found.examples[0].second] == ["title 0", "title 1"]
    assert found.examples[1].first[0].score == pytest.approx(np.cos(np.deg2rad(10)), abs=1e-5)


def test_another_order_is_no_other_product() -> None:
    products = PRODUCTS[:3]

    found = compare(products, ("old", on_a_circle(0, 10, 30)), ("new", on_a_circle(0, 10, -30)), k=2)

    assert (found.same, found.reordered, found.changed, found.overlap) == (2, 1, 0, 1.0)
    assert found.examples == []


def test_a_bundle_is_the_same_as_itself_however_short_the_catalogue() -> None:
    vectors = on_a_circle(0, 0, 0)

    found = compare(PRODUCTS[:3], ("a", vectors), ("b", vectors))

    assert (found.k, found.same, found.distribution) == (2, 3, [0, 0, 3])


def test_vectors_of_another_catalogue_are_refused() -> None:
    with pytest.raises(ValueError, match="5 products, 5 and 4 vectors"):
        compare(PRODUCTS, ("a", on_a_circle(0, 1, 2, 3, 4)), ("b", on_a_circle(0, 1, 2, 3)))
    with pytest.raises(ValueError, match="lists need two products"):
        compare(PRODUCTS[:1], ("a", on_a_circle(0)), ("b", on_a_circle(0)))


def test_tables_show_both_lists_side_by_side() -> None:
    found = compare(
        PRODUCTS, ("old", on_a_circle(0, 10, 50, 60, 75)), ("new", on_a_circle(0, 10, 50, 60, 359)), k=2, examples=2
    )

    text = markdown(comparison_grids(found))

    assert "**old against new: lists of 5 products**" in text
    assert "| other products | 5 | 100.0 |" in text
    assert "| 1 of 2 | 4 | 80.0 |" in text
    assert "**p0: title 0 (50% in common)**" in text
    assert "| 1 | title 1 (p1) | 0.985 | * title 4 (p4) | 1.000 |" in text


def test_bundles_are_loaded_encoded_and_named(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    first = make_bundle().rename(tmp_path / "first")
    second = make_bundle(6, dim=6).rename(tmp_path / "second")
    products = [Product(id=f"{at}", title=f"w{at} w{at + 1} w{at * 3}") for at in range(13)]

    alike = compare_bundles(first, first, products, k=3)
    apart = compare_bundles(first, second, products, k=3)

    assert alike.same == 13
    assert apart.changed > 0
    assert (apart.first, apart.second) == (str(first), str(second))
