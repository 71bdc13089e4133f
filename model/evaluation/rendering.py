"""A report for people: tables on a terminal, and the same tables as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from model.evaluation.bootstrap import Estimate
from model.evaluation.report import DifferenceRow, FusionRow, Report, Scope, SearchRow

SEARCH_FIGURES = ("recall@1", "recall@5", "recall@10", "recall@50", "hit@1", "mrr", "average_precision", "k99.5")
WITH_INTERVAL = frozenset({"recall@1", "recall@10", "k99.5"})
HEADINGS = {"average_precision": "AP", "mrr": "MRR", "f1": "F1"}


@dataclass(frozen=True, slots=True)
class Grid:
    """One table: its title, and cells as text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def grids(report: Report) -> list[Grid]:
    """All tables of a report, those without rows left out."""
    found = [*_searches(report), _fusions(report), _pairs(report), _geometry(report), _differences(report)]
    return [grid for grid in (*found, _languages(report)) if grid.rows]


def show(found: Sequence[Grid], console: Console) -> None:
    """Print tables."""
    for grid in found:
        table = Table(title=grid.title, title_justify="left", title_style="bold")
        for at, column in enumerate(grid.columns):
            table.add_column(column, justify="left" if at == 0 else "right", overflow="fold")
        for row in grid.rows:
            table.add_row(*row)
        console.print(table, markup=False)


def markdown(found: Sequence[Grid]) -> str:
    """Tables as Markdown."""
    return "\n".join(line for grid in found for line in _lines(grid))


def _lines(grid: Grid) -> Iterator[str]:
    yield f"**{grid.title}**"
    yield ""
    yield _line(grid.columns)
    yield "|" + "---|" * len(grid.columns)
    yield from map(_line, grid.rows)
    yield ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _searches(report: Report) -> Iterator[Grid]:
    """A table for each task, split and subset."""
    groups: dict[str, list[SearchRow]] = defaultdict(list)
    for row in report.searches:
        groups[_title(row)].append(row)
    columns = ["system", "modality", *(HEADINGS.get(name, name) for name in SEARCH_FIGURES)]
    for title, rows in groups.items():
        cells = [[_name(row.scope), row.scope.modality, *_figures(row)] for row in rows]
        yield Grid(title, columns, cells)


def _title(row: SearchRow) -> str:
    scope = row.scope
    part = "" if scope.subset == "all" else f", {scope.subset} queries only"
    counts = f"{row.queries} queries, {row.matches} matches"
    return f"{scope.told} ({scope.language}), {scope.task}, split {scope.split}{part}: {counts}"


def _figures(row: SearchRow) -> Iterator[str]:
    for name in SEARCH_FIGURES:
        estimate = row.figures[name]
        digits = 0 if name == "k99.5" else 3
        yield interval(estimate, digits) if name in WITH_INTERVAL else f"{estimate.value:.{digits}f}"


def _fusions(report: Report) -> Grid:
    columns = ["system", "data set", "split", "queries", "figure", "minus", "difference"]
    rows = [
        [
            _name(row.scope),
            row.scope.told,
            row.scope.split,
            row.scope.subset,
            row.figure,
            f"{row.alone} alone",
            _difference(row),
        ]
        for row in report.fusions
    ]
    return Grid("Text and image together, against either alone (95 % interval of the difference)", columns, rows)


def _pairs(report: Report) -> Grid:
    columns = ["system", "data set", "split", "modality", "pairs", "matches", "F1", "AP", "threshold", "chosen on"]
    rows = [
        [
            _name(row.scope),
            row.scope.dataset,
            row.scope.split,
            row.scope.modality,
            str(row.pairs),
            str(row.matches),
            interval(row.figures["f1"]),
            interval(row.figures["average_precision"]),
            f"{row.threshold:.3f}",
            row.threshold_split,
        ]
        for row in report.pairs
    ]
    return Grid("Pair matching", columns, rows)


def _geometry(report: Report) -> Grid:
    columns = ["system", "data set", "split of matches", "modality", "alignment", "uniformity of all products"]
    rows = [
        [
            _name(row.scope),
            row.scope.dataset,
            row.scope.split,
            row.scope.modality,
            f"{row.alignment:.3f}",
            f"{row.uniformity:.3f}",
        ]
        for row in report.geometry
    ]
    return Grid("Geometry (alignment: smaller is closer; uniformity: smaller is more even)", columns, rows)


def _differences(report: Report) -> Grid:
    columns = ["system", "data set", "task", "split", "queries", "modality", "figure", "minus", "difference"]
    rows = [
        [
            row.scope.system,
            row.scope.told,
            row.scope.task,
            row.scope.split,
            row.scope.subset,
            row.scope.modality,
            row.figure,
            row.against,
            _difference(row),
        ]
        for row in report.differences
    ]
    return Grid("Against the best baseline, over the same queries (95 % interval of the difference)", columns, rows)


def _languages(report: Report) -> Grid:
    columns = ["system", "language", "modality", "data sets", "recall@1", "recall@10", "MRR"]
    rows = [
        [
            row.system,
            row.language,
            row.modality,
            ", ".join(row.datasets),
            *(f"{row.figures[name]:.3f}" for name in ("recall@1", "recall@10", "mrr")),
        ]
        for row in report.languages
    ]
    return Grid("By language (mean over its data sets)", columns, rows)


def _name(scope: Scope) -> str:
    return f"{scope.system} (baseline)" if scope.baseline else scope.system


def _difference(row: DifferenceRow | FusionRow) -> str:
    return interval(row.difference, 0 if row.figure == "k99.5" else 3, "+")


def interval(estimate: Estimate, digits: int = 3, sign: str = "") -> str:
    """A figure and its interval."""
    value, low, high = (f"{number:{sign}.{digits}f}" for number in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"
