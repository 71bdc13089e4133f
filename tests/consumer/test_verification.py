"""The exact check against a loop that anyone can read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from consumer import verification
from consumer.types import Export, Generation
from consumer.verification import Stored, Verification, exact_best, verify

K = 4


def catalogue(products: int = 60, dim: int = 8, unavailable: Sequence[int] = (3, 17), seed: int = 1) -> Export:
    vectors = np.random.default_rng(seed).normal(size=(products, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    available = np.ones(products, np.bool_)
    available[list(unavailable)] = False
    generation = Generation(name="g1", model="none", dim=dim, k=K)
    return Export(generation, [f"p{row}" for row in range(products)], vectors, available)


def naive_list(export: Export, row: int, k: int = K) -> list[tuple[str, float]]:
    scores = [
        (float(np.dot(export.vectors[row].astype(np.float64), export.vectors[other])), export.ids[other])
        for other in range(len(export.ids))
        if other != row and export.available[other]
    ]
    return [(id, score) for score, id in sorted(scores, reverse=True)[:k]]


def right_lists(export: Export) -> dict[str, Stored]:
    return {id: Stored(naive_list(export, row), True) for row, id in enumerate(export.ids)}


def check(export: Export, stored: dict[str, Stored], sample: int | None = None) -> Verification:
    return verify(export, lambda ids: [stored.get(id, Stored([], False)) for id in ids], stored, sample)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that do not divide the catalogue, so that their borders are tested."""
    monkeypatch.setattr(verification, "ROWS", 7)
    monkeypatch.setattr(verification, "COLUMNS", 11)


def test_right_lists_pass() -> None:
    export = catalogue()
    result = check(export, right_lists(export))
    assert (result.recall, result.lost, result.ghosts, result.missing, result.orphans) == (1.0, 0, 0, 0, 0)
    assert result.checked == 60
    assert result.score_error < 1e-6
    assert result.passed


@pytest.mark.parametrize("seed", range(5))
def test_best_scores_equal_those_of_the_loop(seed: int) -> None:
    export = catalogue(seed=seed, unavailable=(0, 1, 59))
    best = exact_best(export, np.arange(60), K)
    for row in range(60):
        expected = sorted(score for _, score in naive_list(export, row))
        assert np.sort(best[row]) == pytest.approx(expected, abs=1e-6)
        assert best[row, 0] == best[row].min()


@pytest.mark.parametrize("length", [1.0, 1e3, 1e6])
def test_euclidean_lists_of_long_vectors_are_checked_too(length: float) -> None:
    export = catalogue()
    long = Export(
        Generation(name="g1", model="none", dim=8, k=K, metric="euclidean"),
        export.ids,
        export.vectors * np.linspace(1, 3, 60, dtype=np.float32)[:, None] * np.float32(length),
        export.available,
    )
    stored = {}
    for row, id in enumerate(long.ids):
        distances = [float(np.linalg.norm(long.vectors[row].astype(np.float64) - other)) for other in long.vectors]
        order = [z for z in np.argsort(distances) if z != row and long.available[z]]
        stored[id] = Stored([(long.ids[z], -distances[z]) for z in order[:K]], True)
        worse = Stored([*stored[id].neighbours[:-1], (long.ids[order[-1]], -distances[order[-1]])], True)
    assert check(long, stored).recall == 1.0
    assert check(long, stored | {long.ids[-1]: worse}).lost == 1
    assert check(long, stored).score_error <= 1e-6 * length


def test_a_wrong_member_loses_recall_only() -> None:
    export = catalogue()
    stored = right_lists(export)
    far = naive_list(export, 0, k=58)[-1]
    stored["p0"] = Stored([*stored["p0"].neighbours[:-1], far], True)
    result = check(export, stored)
    assert result.lost == 1
    assert result.recall == pytest.approx(1 - 1 / (60 * K))
    assert result.ghosts == 0


def test_a_short_list_loses_what_it_lacks() -> None:
    export = catalogue()
    stored = right_lists(export)
    stored["p5"] = Stored(stored["p5"].neighbours[:1], True)
    assert check(export, stored).lost == K - 1


@pytest.mark.parametrize(
    ("ghost", "why"), [("p3", "is unavailable"), ("gone", "is deleted"), ("p9", "is the product itself")]
)
def test_ghosts_are_counted_and_named(ghost: str, why: str) -> None:
    export = catalogue()
    stored = right_lists(export)
    stored["p9"] = Stored([*stored["p9"].neighbours[:-1], (ghost, 0.5)], True)
    result = check(export, stored)
    assert result.ghosts == 1
    assert not result.passed
    assert result.findings == [f"the list of p9 names {ghost}, which {why}"]


def test_an_unavailable_product_has_a_list_of_its_own() -> None:
    export = catalogue()
    stored = right_lists(export)
    stored["p3"] = Stored([], True)
    result = check(export, stored)
    assert (result.missing, result.lost) == (1, K)


def test_missing_cards_and_lists_are_missing_products() -> None:
    export = catalogue()
    stored = right_lists(export)
    stored["p1"] = Stored(stored["p1"].neighbours, False)
    del stored["p2"]
    assert check(export, stored).missing == 2


def test_orphans_are_ids_that_no_product_has() -> None:
    export = catalogue()
    result = check(export, right_lists(export) | {"old": Stored([], True), "older": Stored([], True)})
    assert result.orphans == 2
    assert "old is stored but no product has that id" in result.findings


def test_the_worst_score_error_is_reported() -> None:
    export = catalogue()
    stored = right_lists(export)
    (first, score), *rest = stored["p4"].neighbours
    stored["p4"] = Stored([(first, score + 0.25), *rest], True)
    assert check(export, stored).score_error == pytest.approx(0.25, abs=1e-6)


def test_any_of_equal_products_is_right() -> None:
    vectors = np.tile(np.array([1.0, 0.0], np.float32), (8, 1))
    export = Export(Generation(name="g1", model="none", dim=2, k=2), list("abcdefgh"), vectors, np.ones(8, np.bool_))
    stored = {
        id: Stored([("h" if id != "h" else "a", 1.0), ("g" if id != "g" else "b", 1.0)], True) for id in "abcdefgh"
    }
    assert check(export, stored).recall == 1.0


def test_fewer_products_than_k() -> None:
    export = catalogue(products=3, unavailable=(2,))
    assert check(export, right_lists(export)).passed
    alone = catalogue(products=1, unavailable=())
    result = check(alone, {"p0": Stored([], True)})
    assert (result.recall, result.missing) == (1.0, 0)


def test_an_empty_catalogue_has_only_orphans() -> None:
    empty = catalogue(products=0, unavailable=())
    result = check(empty, {"old": Stored([], True)})
    assert (result.recall, result.checked, result.orphans) == (1.0, 0, 1)


def test_a_sample_checks_that_many_and_the_same_again() -> None:
    export = catalogue()
    asked: list[list[str]] = []

    def fetch(ids: Sequence[str]) -> list[Stored]:
        asked.append(list(ids))
        return [Stored(naive_list(export, export.ids.index(id)), True) for id in ids]

    results = [verify(export, fetch, (), sample=10) for _ in range(2)]
    assert [result.checked for result in results] == [10, 10]
    ids = [id for part in asked[: len(asked) // 2] for id in part]
    assert len(set(ids)) == 10
    assert asked[: len(asked) // 2] == asked[len(asked) // 2 :]


def test_progress_ends_at_the_total() -> None:
    export = catalogue()
    told: list[tuple[int, int]] = []
    stored = right_lists(export)
    verify(export, lambda ids: [stored[id] for id in ids], (), progress=lambda done, total: told.append((done, total)))
    assert told[0] == (7, 60)
    assert told[-1] == (60, 60)
