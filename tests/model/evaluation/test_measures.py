"""What a row is made of, where a small source cannot tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from model.evaluation.measures import Measured, differences, measured, pair_row
from model.evaluation.pairs import PairScores
from model.evaluation.report import Scope, best
from model.evaluation.retrieval import Answer, Table


def scope(system: str, baseline: bool) -> Scope:
    return Scope(system=system, baseline=baseline, dataset="d", task="t", split="test", language="en", modality="text")


def of(system: str, ranks: Sequence[int], baseline: bool = True) -> Measured:
    table = Table("matches", [Answer(str(at), False, np.array([rank])) for at, rank in enumerate(ranks)])
    return measured(scope(system, baseline), table, (1, 2), seed=0, resamples=20)


def pairs(scores: Sequence[float], same: Sequence[bool]) -> PairScores:
    return PairScores(np.array(scores, np.float32), np.array(same), np.zeros(len(same), bool))


def test_the_threshold_is_that_of_validation_even_where_test_would_choose_better() -> None:
    valid = pairs([0.9, 0.5, 0.1], [True, True, False])
    test = pairs([0.9, 0.5, 0.1], [True, False, False])

    row = pair_row(scope("s", False), valid, test, "valid", seed=0, resamples=20)

    assert row.threshold == pytest.approx(0.3)
    assert row.figures["f1"].value == pytest.approx(2 / 3)


def test_the_best_has_most_recall_and_needs_the_shortest_lists() -> None:
    """The first finds more at once; the second has no straggler."""
    rows = [of("eager", [1, 1, 1, 90]).row, of("steady", [1, 2, 2, 3]).row]

    assert best(rows, "recall@1").scope.system == "eager"
    assert best(rows, "k99.5").scope.system == "steady"


def test_each_figure_has_its_own_best_baseline_and_no_system_is_one() -> None:
    """The system itself is better than both, and the other one better still."""
    group = [of("eager", [1, 1, 1, 90]), of("steady", [1, 2, 2, 3]), of("new", [1, 1, 1, 2], False)]
    group.append(of("newer", [1, 1, 1, 1], False))

    found = {(row.scope.system, row.figure): (row.against, row.difference.value) for row in differences(group, 0, 20)}

    assert found == {
        ("new", "recall@1"): ("eager", 0),
        ("new", "recall@10"): ("steady", 0),
        ("new", "k99.5"): ("steady", -1),
        ("newer", "recall@1"): ("eager", 0.25),
        ("newer", "recall@10"): ("steady", 0),
        ("newer", "k99.5"): ("steady", -2),
    }
