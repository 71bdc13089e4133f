"""Ranks and figures against what a plain sort and the definitions give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from model.data.dataset import Dataset
from model.evaluation import retrieval
from model.evaluation.retrieval import Answer, Table, curve, figures, ranks_of, search
from model.evaluation.tasks import Counting, one_catalogue, two_tables

FixedSpace = Callable[[Sequence[Sequence[float]]], Any]


def table(counting: Counting, *ranks: Sequence[int]) -> Table:
    return Table(counting, [Answer(str(at), False, np.array(of)) for at, of in enumerate(ranks)])


def value(of: Table, name: str) -> float:
    return float(figures(of)[name](np.ones((1, len(of.answers))))[0])


@given(st.data())
def test_ranks_are_those_of_a_stable_sort(data: st.DataObject) -> None:
    scores = data.draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=12))
    places = st.lists(st.integers(0, len(scores) - 1), unique=True, min_size=1)
    right = data.draw(places)
    hidden = [at for at in data.draw(places) if at not in right]

    order = sorted(set(range(len(scores))) - set(hidden), key=lambda at: (-scores[at], at))

    found = ranks_of(np.array(scores, np.float32), np.array(right), np.array(hidden, int))
    assert found.tolist() == sorted(order.index(at) + 1 for at in right)


def test_scores_that_differ_only_in_the_last_bits_are_equal() -> None:
    scores = np.array([0.7, np.nextafter(np.float32(0.7), np.float32(1))], np.float32)

    assert ranks_of(scores, np.array([0]), np.array([], int)).tolist() == [1]


def test_a_search_ranks_over_the_candidates_of_the_task(shop: Dataset, fixed_space: FixedSpace) -> None:
    space = fixed_space([[0.9, 0.8, 0.1, 0.1, 0.1], [0.5, 0.4, 0.9, 0.3, 0.2]])

    answers = search(two_tables(shop, "test"), space).answers

    assert [(answer.query, answer.ranks.tolist()) for answer in answers] == [("A1", [2]), ("A2", [1, 5])]


def test_blocks_change_nothing(catalogue: Dataset, fixed_space: FixedSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(0).random((4, 6)).tolist()
    whole = search(one_catalogue(catalogue, "test"), fixed_space(scores))

    monkeypatch.setattr(retrieval, "BLOCK", 3)
    parts = search(one_catalogue(catalogue, "test"), fixed_space(scores))

    assert [answer.ranks.tolist() for answer in parts.answers] == [answer.ranks.tolist() for answer in whole.answers]


def test_a_score_that_is_not_finite_is_no_rank_one(shop: Dataset, fixed_space: FixedSpace) -> None:
    space = fixed_space([[0.1] * 5, [0.1, float("nan"), 0.1, 0.1, 0.1]])

    with pytest.raises(ArithmeticError, match="queries 0 to 1"):
        search(two_tables(shop, "test"), space)


def test_recall_of_matches_counts_each_match() -> None:
    of = table("matches", [1], [1, 2], [7])

    assert value(of, "recall@1") == 2 / 4
    assert value(of, "recall@5") == 3 / 4
    assert value(of, "recall@10") == 1


def test_filtered_recall_takes_the_other_matches_out_of_the_list() -> None:
    assert value(table("filtered", [1, 2], [2, 4]), "recall@1") == 2 / 4
    assert value(table("matches", [1, 2], [2, 4]), "recall@1") == 1 / 4


def test_capped_recall_is_a_mean_over_queries() -> None:
    of = table("capped", [1, 2, 60], list(range(1, 21)))

    assert value(of, "recall@10") == pytest.approx((2 / 3 + 1) / 2)
    assert value(of, "recall@1") == value(of, "hit@1") == 1


def test_the_first_match_makes_mrr_and_hit() -> None:
    of = table("matches", [1, 9], [4])

    assert value(of, "mrr") == (1 + 1 / 4) / 2
    assert value(of, "hit@1") == 1 / 2


def test_average_precision_is_that_of_scikit_learn() -> None:
    relevant = np.zeros(12, bool)
    relevant[[1, 4, 10]] = True

    of = table("matches", (np.flatnonzero(relevant) + 1).tolist())

    assert value(of, "average_precision") == pytest.approx(average_precision_score(relevant, -np.arange(12)))


@pytest.mark.parametrize(("missed", "k"), [(1, 3), (2, 90)])
def test_k_for_995_of_a_thousand_allows_one_in_two_hundred(missed: int, k: int) -> None:
    ranks = [[1]] * 197 + [[3]] * (3 - missed) + [[90]] * missed

    assert value(table("matches", *ranks), "k99.5") == k


def test_the_curve_is_recall_at_each_cut() -> None:
    assert curve(table("matches", [1], [3]), (1, 2, 3)) == [0.5, 0.5, 1.0]


def test_seen_and_unseen_queries_are_told_apart() -> None:
    both = Table("matches", [Answer("a", True, np.array([1])), Answer("b", False, np.array([2]))])

    assert [answer.query for answer in both.where(seen=True).answers] == ["a"]
    assert [answer.query for answer in both.where(seen=False).answers] == ["b"]
