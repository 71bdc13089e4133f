"""The figures of the last line, and how sure it is that a trained encoder beats the best baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from encoder_speed import Race

from model.evaluation.bootstrap import Estimate
from model.evaluation.rendering import Grid, interval
from model.evaluation.report import SMALLER_IS_BETTER, DifferenceRow, FusionRow, Report, SearchRow, best
from model.evaluation.variants import PLAIN

SETS = {
    "abt_buy": "abt_buy",
    "amazon_google": "amazon_google",
    "ali_zh": "ali_ember_zh",
    "wdc_lspc": "wdc_lspc_titles",
}
"""Data set by its name in the last line."""
FIGURES = {"r1": "recall@1", "r10": "recall@10", "k995": "k99.5"}
"""Figure by its name there; where recall is capped, recall@1 is hit@1."""
FASHION = "fashion_images_1500"
JOINT = "recall@10"
"""The figure that modalities are compared by."""
ALONE = ("text", "image")
MODALITIES = (*ALONE, "both")

Section = dict[str, float] | None


def figures(reports: Sequence[Report], speed: float | None) -> dict[str, Section | float]:
    """The object of the last line; None stands for what was not measured.

    Args:
        reports: of the recipes that were measured.
        speed: texts a second of the trained English encoder / those of MiniLM.
    """
    rows = _asked(reports)
    found: dict[str, Section | float] = {short: _beside_baselines(_of(rows, name)) for short, name in SETS.items()}
    found["fashion"] = _by_modality([row for row in _of(rows, FASHION) if row.scope.variant == PLAIN])
    return found | {"speed_vs_minilm": None if speed is None else round(speed, 3)}


def verdicts(reports: Sequence[Report]) -> Grid:
    """Each trained encoder beside the baseline that is best in the figure, on the same queries."""
    rows = _asked(reports)
    differences = [row for report in reports for row in report.differences if row.scope.subset == "all"]
    columns = ["data set", "figure", "trained", "best baseline", "", "intervals", "difference", "so it is"]
    cells = [
        _verdict(short, figure, _of(rows, name), differences)
        for short, name in SETS.items()
        if _of(rows, name)
        for figure in FIGURES.values()
    ]
    return Grid("Against the best baseline (95 % intervals)", columns, cells)


def modalities(reports: Sequence[Report]) -> Grid:
    """Recall@10 of same category and colour, by what the title says and by modality, and what both gain on either."""
    ours = [row for row in _of(_asked(reports), FASHION) if not row.scope.baseline]
    gains = [row for report in reports for row in report.fusions if row.figure == JOINT and row.scope.subset == "all"]
    told = dict.fromkeys(row.scope.variant for row in ours)
    cells = [
        [
            variant or "as they are",
            *_by_modality_cells([row for row in ours if row.scope.variant == variant]),
            *_gain_cells([row for row in gains if row.scope.variant == variant]),
        ]
        for variant in told
    ]
    columns = ["titles", *MODALITIES, *(f"both - {name}" for name in ALONE)]
    return Grid("Text and image: recall@10 of same category and colour (95 % intervals)", columns, cells)


def speeds(races: Sequence[Race]) -> Grid:
    """Texts a second on the CPU."""
    columns = ["texts", "characters", "threads", "rounds", "english/s", "MiniLM/s", "ratio"]
    rows = [
        [
            race.texts,
            f"{race.characters:.0f}",
            str(race.threads or "all"),
            str(race.rounds),
            f"{race.first:.0f}",
            f"{race.second:.0f}",
            f"{race.ratio:.2f}",
        ]
        for race in races
    ]
    return Grid("Encoding on the CPU, in turn (medians over rounds)", columns, rows)


def _asked(reports: Sequence[Report]) -> list[SearchRow]:
    """The searches of all queries."""
    return [row for report in reports for row in report.searches if row.scope.subset == "all"]


def _of(rows: Sequence[SearchRow], dataset: str) -> list[SearchRow]:
    return [row for row in rows if row.scope.dataset == dataset]


def _beside_baselines(rows: Sequence[SearchRow]) -> Section:
    if not rows:
        return None
    baselines = [row for row in rows if row.scope.baseline]
    ours = {short: _trained(rows).figures[name].value for short, name in FIGURES.items()}
    theirs = {f"best_baseline_{short}": best(baselines, name).figures[name].value for short, name in FIGURES.items()}
    return {name: round(value, 4) for name, value in (ours | theirs).items()}


def _by_modality(rows: Sequence[SearchRow]) -> Section:
    found = {row.scope.modality: round(row.figures[JOINT].value, 4) for row in rows if not row.scope.baseline}
    return {modality: found[modality] for modality in MODALITIES} if found else None


def _trained(rows: Sequence[SearchRow]) -> SearchRow:
    (row,) = (row for row in rows if not row.scope.baseline)
    return row


def _verdict(short: str, figure: str, rows: Sequence[SearchRow], differences: Sequence[DifferenceRow]) -> list[str]:
    ours, theirs = _trained(rows), best([row for row in rows if row.scope.baseline], figure)
    first, second = ours.figures[figure], theirs.figures[figure]
    (found,) = (row.difference for row in differences if row.scope == ours.scope and row.figure == figure)
    digits = 0 if figure == "k99.5" else 3
    return [
        short,
        figure,
        interval(first, digits),
        interval(second, digits),
        theirs.scope.system,
        "overlap" if first.low <= second.high and second.low <= first.high else "apart",
        interval(found, digits, "+"),
        outcome(found, figure),
    ]


def outcome(difference: Estimate, figure: str) -> str:
    """What an interval of differences says of the trained encoder: better, worse, or in doubt where it has zero in it."""
    if difference.low <= 0 <= difference.high:
        return "in doubt"
    return "better" if (difference.low > 0) != (figure in SMALLER_IS_BETTER) else "worse"


def _by_modality_cells(rows: Sequence[SearchRow]) -> Iterator[str]:
    found = {row.scope.modality: row.figures[JOINT] for row in rows}
    yield from (interval(found[modality]) for modality in MODALITIES)


def _gain_cells(rows: Sequence[FusionRow]) -> Iterator[str]:
    found = {row.alone: row.difference for row in rows}
    yield from (interval(found[modality], sign="+") for modality in ALONE)
