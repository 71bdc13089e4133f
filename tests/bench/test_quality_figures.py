"""What the benchmark of the encoders says of reports, from reports made up for it."""

from __future__ import annotations

import pytest
from encoder_speed import Race, race
from quality_figures import figures, modalities, outcome, speeds, verdicts

from model.evaluation.bootstrap import Estimate
from model.evaluation.rendering import interval
from model.evaluation.report import DifferenceRow, FusionRow, Report, Scope, SearchRow
from model.evaluation.variants import PLAIN, TITLES

KEYS = ["r1", "r10", "k995", "best_baseline_r1", "best_baseline_r10", "best_baseline_k995"]


def estimate(value: float, reach: float = 0.05) -> Estimate:
    return Estimate(value, value - reach, value + reach)


def scope(system: str, dataset: str, **fields: str) -> Scope:
    told = {"task": "two_tables", "split": "test", "language": "en", "modality": "text"} | fields
    return Scope(system=system, baseline=system != "trained", dataset=dataset, **told)


def row(of: Scope, first: float, ten: float, k: float) -> SearchRow:
    found = {"recall@1": estimate(first), "recall@10": estimate(ten), "k99.5": estimate(k, 2)}
    return SearchRow(scope=of, queries=9, matches=9, figures=found, curve=[])


def report(
    searches: list[SearchRow], differences: list[DifferenceRow] | None = None, fusions: list[FusionRow] | None = None
) -> Report:
    return Report(
        seed=0, resamples=1, cuts=[1], searches=searches, pairs=[], geometry=[], languages=[],
        differences=differences or [], fusions=fusions or [],
    )  # fmt: skip


@pytest.fixture
def english() -> Report:
    """The trained encoder wins in recall@1, is as good in recall@10, and needs longer lists."""
    ours = scope("trained", "abt_buy")
    searches = [
        row(scope("TF-IDF", "abt_buy"), 0.7, 0.9, 9),
        row(scope("BM25", "abt_buy"), 0.6, 0.95, 12),
        row(ours, 0.91234567, 0.96, 20),
        row(scope("trained", "abt_buy", subset="unseen"), 0.1, 0.1, 999),
        row(scope("BM25", "abt_buy", subset="unseen"), 0.99, 0.99, 1),
    ]
    found = {"recall@1": Estimate(0.21, 0.1, 0.3), "recall@10": estimate(0.01), "k99.5": Estimate(11, 4, 15)}
    differences = [
        DifferenceRow(scope=ours, against="any", figure=name, difference=difference)
        for name, difference in found.items()
    ]
    return report(searches, differences)


@pytest.fixture
def fashion() -> Report:
    """By variant and modality; MiniLM reads text only."""
    searches, gains = [], []
    for variant, ten in (("", 0.8), (TITLES, 0.7), (PLAIN, 0.3)):
        for at, modality in enumerate(("text", "image", "both")):
            of = scope("trained", "fashion_images_1500", variant=variant, modality=modality)
            searches.append(row(of, 0.5, ten + at / 100, 9))
        searches.append(row(scope("MiniLM", "fashion_images_1500", variant=variant), 0.5, 0.99, 9))
        gains += [
            FusionRow(scope=of, alone=alone, figure="recall@10", difference=estimate(ten + gain, 0.0))
            for alone, gain in (("image", 0.01), ("text", 0.02))
        ]
    return report(searches, fusions=gains)


def test_the_last_line_has_each_baseline_figure_from_the_best_of_them(english: Report) -> None:
    found = figures([english], 0.81234)["abt_buy"]
    assert isinstance(found, dict)
    assert list(found) == KEYS
    assert list(found.values()) == [0.9123, 0.96, 20, 0.7, 0.95, 9]


def test_the_last_line_has_all_keys_whatever_was_measured(english: Report, fashion: Report) -> None:
    everything = figures([english, fashion], 0.81234)
    assert list(everything) == ["abt_buy", "amazon_google", "ali_zh", "wdc_lspc", "fashion", "speed_vs_minilm"]
    assert everything["speed_vs_minilm"] == 0.812
    assert everything["ali_zh"] is None
    nothing = figures([], None)
    assert list(nothing) == list(everything)
    assert set(nothing.values()) == {None}


def test_fashion_is_of_titles_without_the_words_and_by_the_trained_encoder(fashion: Report) -> None:
    assert figures([fashion], None)["fashion"] == {"text": 0.3, "image": 0.31, "both": 0.32}


def test_verdicts_are_by_the_paired_difference(english: Report, fashion: Report) -> None:
    rows = verdicts([english, fashion]).rows
    assert [row[:2] for row in rows] == [["abt_buy", "recall@1"], ["abt_buy", "recall@10"], ["abt_buy", "k99.5"]]
    assert [row[4] for row in rows] == ["TF-IDF", "BM25", "TF-IDF"]
    assert [row[5] for row in rows] == ["apart", "overlap", "apart"]
    assert [row[7] for row in rows] == ["better", "in doubt", "worse"]
    assert rows[0][2:4] == ["0.912 [0.862, 0.962]", "0.700 [0.650, 0.750]"]
    assert rows[0][6] == "+0.210 [+0.100, +0.300]"
    assert rows[2][2] == "20 [18, 22]"


def test_shorter_lists_are_better() -> None:
    shorter, longer = Estimate(-5, -8, -2), Estimate(5, 2, 8)
    assert [outcome(found, "k99.5") for found in (shorter, longer)] == ["better", "worse"]
    assert [outcome(found, "recall@10") for found in (shorter, longer)] == ["worse", "better"]
    assert outcome(Estimate(0, 0, 0), "recall@10") == "in doubt"


def test_modalities_have_a_row_for_each_telling(fashion: Report) -> None:
    rows = modalities([fashion]).rows
    assert [row[0] for row in rows] == ["as they are", TITLES, PLAIN]
    assert rows[2][1:4] == [interval(estimate(value)) for value in (0.3, 0.31, 0.32)]
    assert rows[2][4:] == ["+0.320 [+0.320, +0.320]", "+0.310 [+0.310, +0.310]"]


class Clock:
    """Moves on by what an encoder takes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, int]] = []

    def __call__(self) -> float:
        return self.now

    def encoder(self, name: str, seconds: list[float]) -> object:
        left = iter(seconds)

        def encode(texts: list[str]) -> None:
            self.calls.append((name, len(texts)))
            self.now += next(left)

        return encode


def test_a_race_takes_turns_and_leaves_the_warm_up_and_a_slow_moment_out() -> None:
    clock = Clock()
    ours = clock.encoder("ours", [99, 2, 2, 2, 2, 80, 80])
    other = clock.encoder("other", [99, 1, 1, 1, 1, 2, 2])
    found = race("titles", ["four"] * 300, ours, other, 0, 3, clock)  # type: ignore[arg-type]
    assert found == Race("titles", 4.0, 0, 3, 75.0, 150.0, 0.5)
    assert [name for name, _ in clock.calls] == [
        "ours",
        "other",
        *["ours"] * 2,
        *["other"] * 4,
        *["ours"] * 4,
        *["other"] * 2,
    ]
    assert [size for _, size in clock.calls[2:]] == [256, 44] * 6


def test_speeds_for_people() -> None:
    assert speeds([Race("titles", 41.6, 0, 7, 250.4, 300.2, 0.834)]).rows == [
        ["titles", "42", "all", "7", "250", "300", "0.83"]
    ]
