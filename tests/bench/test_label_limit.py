"""What any ranking could reach: one that reads both texts learns from the labels of other queries, and only from these."""

from __future__ import annotations

from collections.abc import Sequence

import label_limit
import numpy as np
import pytest
from label_limit import ALL, MEAN, OTHERS, READ, Pairs, limits, shared, without_hubs

from model.data.dataset import Dataset, Pair
from model.evaluation.bootstrap import Estimate
from model.evaluation.tasks import two_tables
from producer.events import Product

QUERIES = 40


@pytest.fixture
def shops() -> Dataset:
    """Two shops in which the number in the title tells which candidate is right, and each query has two matches."""
    first = {f"A{at}": Product(id=f"A{at}", title=f"lamp x{at}", price=at + 1.0) for at in range(QUERIES)}
    second = {f"B{at}": Product(id=f"B{at}", title=f"lamp x{at // 2}", price=9.0) for at in range(2 * QUERIES)}
    pairs = [Pair(f"A{at // 2}", f"B{at}", True, "test") for at in range(2 * QUERIES)]
    return Dataset("two", first | second, pairs, sides={id: id[0] for id in first | second})


def noise(dataset: Dataset, queries: Sequence[str], candidates: Sequence[str]) -> dict[str, label_limit.Matrix]:
    """Scores that put the right candidates among the first twenty, and know no more."""
    random = np.random.default_rng(0)
    scores = random.random((len(queries), len(candidates)), np.float32)
    for row, id in enumerate(queries):
        scores[row, [candidates.index(f"B{2 * int(id[1:]) + which}") for which in (0, 1)]] = 0.9
    return {"noise": scores, "again": scores}


def test_both_texts_read_together_find_what_the_scores_do_not(shops: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_limit, "scores_of", noise)
    found = limits(shops)
    assert list(found) == ["noise", "again", MEAN, READ, OTHERS, ALL, "queries / matches"]
    assert found["queries / matches"] == Estimate(0.5, 0.5, 0.5)
    assert found[MEAN].value < 0.1
    assert found[READ].value > 0.4


def test_labels_of_a_query_do_not_rank_its_own_candidates(shops: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the labels say what is right, learning from those of other queries is of no use."""
    scores = noise(shops, [f"A{at}" for at in range(QUERIES)], [f"B{at}" for at in range(2 * QUERIES)])["noise"]
    alike = {id: Product(id=id, title="lamp") for id in shops.products}
    ranked = Pairs(alike, two_tables(shops, "test"), np.round(scores * 0)).ranked([scores * 0], prices=False)
    first = [int(row.argmax()) // 2 == at for at, row in enumerate(ranked)]
    assert sum(first) <= 2


def test_candidates_that_are_not_ranked_again_come_after_the_others(shops: Dataset) -> None:
    scores = noise(shops, [f"A{at}" for at in range(QUERIES)], [f"B{at}" for at in range(2 * QUERIES)])["noise"]
    ranked = Pairs(shops.products, two_tables(shops, "test"), scores).ranked([scores], prices=True)
    for before, after in zip(scores, ranked, strict=True):
        near, far = np.split(np.argsort(-before), [label_limit.CANDIDATES])
        assert after[near].min() > after[far].max()
        assert (np.diff(after[far]) < 0).all(), "in the order that they had"


def test_a_candidate_that_is_near_to_many_loses() -> None:
    scores = np.array([[0.9, 0.8], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]], np.float32)
    assert without_hubs(scores)[0].argmax() == 1


def test_what_two_texts_share_is_counted() -> None:
    one = Product(id="a", title="lamp x1 40w red", brand="ikea", description="abc")
    other = Product(id="b", title="lamp 40w", brand="ikea")
    assert shared(one, other) == [2 / 4, 2 / 2, 1, 1, 0, 15, 8, 3, 0, 1, 1]
