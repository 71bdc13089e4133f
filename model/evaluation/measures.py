"""From ranks and scores to the rows of a report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.evaluation import bootstrap
from model.evaluation.bootstrap import Estimate, Statistic
from model.evaluation.pairs import PairScores, average_precision, best_threshold, f1
from model.evaluation.report import DifferenceRow, FusionRow, LanguageRow, PairRow, Scope, SearchRow, best
from model.evaluation.retrieval import Table, curve, figures
from model.evaluation.tasks import WHOLE

COMPARED = ("recall@1", "recall@10", "k99.5")
ALONE = ("text", "image")
BINS = 40

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """A row, and the table that it is made of."""

    row: SearchRow
    table: Table


def measured(scope: Scope, table: Table, cuts: Sequence[int], seed: int, resamples: int) -> Measured:
    """All figures of a search."""
    row = SearchRow(
        scope=scope,
        queries=len(table.answers),
        matches=table.matches,
        figures=_estimates(figures(table), len(table.answers), seed, resamples),
        curve=curve(table, cuts),
    )
    return Measured(row, table)


def pair_row(
    scope: Scope, valid: PairScores, test: PairScores, threshold_split: str, seed: int, resamples: int
) -> PairRow:
    """F1 at the threshold of the one split and average precision, both on the other; histograms in equal bins."""
    threshold = best_threshold(valid)
    edges = np.histogram_bin_edges(test.scores, BINS)
    found = {"f1": f1(test, threshold), "average_precision": average_precision(test)}
    return PairRow(
        scope=scope,
        pairs=len(test.same),
        matches=int(test.same.sum()),
        threshold=threshold,
        threshold_split=threshold_split,
        figures=_estimates(found, len(test.same), seed, resamples),
        edges=edges.tolist(),
        matching=np.histogram(test.scores[test.same], edges)[0].tolist(),
        other=np.histogram(test.scores[~test.same], edges)[0].tolist(),
    )


def differences(searches: Sequence[Measured], seed: int, resamples: int) -> list[DifferenceRow]:
    """Each system minus the baseline that is best in the figure, of whatever modality, on the same queries."""
    groups = _by(searches, "dataset", "variant", "task", "split", "subset")
    return [
        _difference(of, _best(baselines, figure), figure, seed, resamples)
        for group in groups.values()
        if (baselines := [of for of in group if of.row.scope.baseline])
        for of in group
        if not of.row.scope.baseline
        for figure in COMPARED
    ]


def fusions(searches: Sequence[Measured], seed: int, resamples: int) -> list[FusionRow]:
    """Of each system that reads both: text and image together minus either alone, on the same queries."""
    groups = _by(searches, "system", "dataset", "variant", "task", "split", "subset")
    return [
        FusionRow(
            scope=both.row.scope,
            alone=alone,
            figure=figure,
            difference=_minus(both, group[alone], figure, seed, resamples),
        )
        for found in groups.values()
        if (both := (group := {of.row.scope.modality: of for of in found}).get("both"))
        for alone in ALONE
        for figure in COMPARED
    ]


def language_means(rows: Sequence[SearchRow]) -> list[LanguageRow]:
    """Means over data sets; only rows of all queries, none of variants, and none of splits with training data in them."""
    groups: dict[tuple[str, str, str], list[SearchRow]] = defaultdict(list)
    for row in rows:
        if row.scope.subset == "all" and not row.scope.variant and row.scope.split != WHOLE:
            groups[row.scope.language, row.scope.system, row.scope.modality].append(row)
    return [
        LanguageRow(
            system=system,
            modality=modality,
            language=language,
            datasets=[row.scope.dataset for row in group],
            figures={name: float(np.mean([row.figures[name].value for row in group])) for name in group[0].figures},
        )
        for (language, system, modality), group in groups.items()
    ]


def _estimates(statistics: Mapping[str, Statistic], number: int, seed: int, resamples: int) -> dict[str, Estimate]:
    return {name: bootstrap.estimate(statistic, number, seed, resamples) for name, statistic in statistics.items()}


def _best(group: Sequence[Measured], figure: str) -> Measured:
    row = best([of.row for of in group], figure)
    return next(of for of in group if of.row is row)


def _difference(of: Measured, other: Measured, figure: str, seed: int, resamples: int) -> DifferenceRow:
    return DifferenceRow(
        scope=of.row.scope,
        against=other.row.scope.system,
        figure=figure,
        difference=_minus(of, other, figure, seed, resamples),
    )


def _minus(of: Measured, other: Measured, figure: str, seed: int, resamples: int) -> Estimate:
    first, second = figures(of.table)[figure], figures(other.table)[figure]
    return bootstrap.difference(first, second, len(of.table.answers), seed, resamples)


def _by(searches: Sequence[Measured], *fields: str) -> dict[Key, list[Measured]]:
    """Those that agree in these fields of their scope."""
    groups: dict[Key, list[Measured]] = defaultdict(list)
    for of in searches:
        groups[tuple(getattr(of.row.scope, field) for field in fields)].append(of)
    return groups
