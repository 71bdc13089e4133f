"""What an evaluation found: plain values that are written as JSON and read back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from model.evaluation.bootstrap import Estimate

FORMAT = 1
SMALLER_IS_BETTER = frozenset({"k99.5", "alignment", "uniformity"})


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on what.

    Attributes:
        task: the protocol of a search, ``pairs`` or ``geometry``.
        split: of the data; no figure is of another.
        subset: ``all``, ``seen`` or ``unseen``: with or without a product that has a match in the training split.
        variant: one of ``model.evaluation.variants``, by which the products were told; empty as the source tells them.
    """

    system: str
    baseline: bool
    dataset: str
    task: str
    split: str
    language: str
    modality: str
    subset: str = "all"
    variant: str = ""

    @property
    def told(self) -> str:
        """The data set, and the variant if it is one."""
        return f"{self.dataset}, {self.variant}" if self.variant else self.dataset


class SearchRow(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a search; ``curve`` is the recall at each k of the report's ``cuts``."""

    scope: Scope
    queries: int
    matches: int
    figures: dict[str, Estimate]
    curve: list[float]


class PairRow(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of pair matching: F1 at the threshold of the validation split, average precision, and all scores counted.

    Attributes:
        edges: of the bins of both histograms, one more than bins.
        matching: pairs that match, by bin of their score.
        other: pairs that don't.
    """

    scope: Scope
    pairs: int
    matches: int
    threshold: float
    threshold_split: str
    figures: dict[str, Estimate]
    edges: list[float]
    matching: list[int]
    other: list[int]


class GeometryRow(msgspec.Struct, frozen=True, kw_only=True):
    """Alignment of the matches of the split, uniformity of the whole catalogue."""

    scope: Scope
    alignment: float
    uniformity: float


class DifferenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A system minus the best baseline in one figure, over the same queries."""

    scope: Scope
    against: str
    figure: str
    difference: Estimate


class FusionRow(msgspec.Struct, frozen=True, kw_only=True):
    """Text and image together minus one of them alone, in one figure of one system, over the same queries."""

    scope: Scope
    alone: str
    figure: str
    difference: Estimate


class LanguageRow(msgspec.Struct, frozen=True, kw_only=True):
    """The mean of a system's figures over the data sets of a language, each counting once."""

    system: str
    modality: str
    language: str
    datasets: list[str]
    figures: dict[str, float]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that was measured in one run; intervals are two-sided 95 %."""

    format: int = FORMAT
    seed: int
    resamples: int
    cuts: list[int]
    searches: list[SearchRow]
    pairs: list[PairRow]
    geometry: list[GeometryRow]
    differences: list[DifferenceRow]
    languages: list[LanguageRow]
    fusions: list[FusionRow] = []


def write_report(file: Path, report: Report) -> None:
    """Write it as JSON."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def read_report(file: Path) -> Report:
    """Read what ``write_report`` wrote.

    Raises:
        ValueError: no report, or of another format.
    """
    try:
        report = msgspec.json.decode(file.read_bytes(), type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is no evaluation report ({error}): evaluate again") from error
    if report.format != FORMAT:
        raise ValueError(f"{file} has report format {report.format}, this version reads {FORMAT}: evaluate again")
    return report


def best(rows: Sequence[SearchRow], figure: str) -> SearchRow:
    """The row that is best in a figure; the first of equals."""
    sign = 1 if figure in SMALLER_IS_BETTER else -1
    return min(rows, key=lambda row: sign * row.figures[figure].value)
