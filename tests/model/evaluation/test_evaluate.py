"""A whole evaluation: every system, data set, split, modality and subset has its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from model.data.dataset import Dataset
from model.evaluation.bundles import BundleRanker
from model.evaluation.evaluate import Benchmark, Settings, benchmark, evaluate, with_baselines
from model.evaluation.ranking import System
from model.evaluation.rendering import grids, markdown, show
from model.evaluation.report import Report, read_report, write_report
from model.evaluation.tasks import WHOLE, two_tables

FAST = Settings(seed=1, resamples=50)

MakeEncoder = Callable[..., Any]


@pytest.fixture
def report(shop: Dataset, counting_encoder: MakeEncoder) -> Report:
    systems = with_baselines({"counts": counting_encoder()})
    whole = replace(benchmark(shop), tasks=[two_tables(shop, "test"), two_tables(shop, WHOLE)])
    return evaluate(systems, [whole], FAST)


def test_every_system_is_measured_on_the_same_queries(report: Report) -> None:
    rows = [row for row in report.searches if (row.scope.split, row.scope.subset) == ("test", "all")]

    assert [(row.scope.system, row.scope.baseline) for row in rows] == [
        ("TF-IDF", True),
        ("BM25", True),
        ("counts", False),
    ]
    assert {(row.queries, row.matches, row.scope.language) for row in rows} == {(2, 3, "en")}
    assert rows[0].figures["hit@1"].value == 1
    assert rows[0].curve[0] == pytest.approx(2 / 3)


def test_queries_that_training_has_seen_are_told_apart(report: Report) -> None:
    rows = [row for row in report.searches if (row.scope.split, row.scope.system) == (WHOLE, "counts")]

    assert [(row.scope.subset, row.queries) for row in rows] == [("all", 4), ("seen", 1), ("unseen", 3)]
    assert "seen" not in {row.scope.subset for row in report.searches if row.scope.split == "test"}


def test_pairs_say_which_split_chose_the_threshold(report: Report) -> None:
    assert [(row.scope.system, row.scope.split, row.threshold_split) for row in report.pairs] == [
        ("TF-IDF", "test", "valid"),
        ("BM25", "test", "valid"),
        ("counts", "test", "valid"),
    ]
    for row in report.pairs:
        assert (sum(row.matching), sum(row.other)) == (3, 2)
        assert len(row.edges) == len(row.matching) + 1


def test_only_vectors_have_a_geometry(report: Report) -> None:
    assert [row.scope.system for row in report.geometry] == ["counts"]
    assert report.geometry[0].uniformity < 0


def test_differences_are_taken_from_the_best_baseline(report: Report) -> None:
    rows = {row.scope.system: row for row in report.searches if (row.scope.split, row.scope.subset) == (WHOLE, "all")}
    (found,) = [
        row
        for row in report.differences
        if (row.scope.split, row.scope.subset, row.figure) == (WHOLE, "all", "recall@1")
    ]

    best = max(rows["TF-IDF"], rows["BM25"], key=lambda row: row.figures["recall@1"].value)
    assert found.against == best.scope.system
    assert found.scope.system == "counts"
    assert found.difference.value == pytest.approx(
        rows["counts"].figures["recall@1"].value - best.figures["recall@1"].value
    )


def test_figures_with_training_data_in_them_are_in_no_mean(report: Report) -> None:
    means = {row.system: row for row in report.languages}

    assert means["counts"].datasets == ["shop"]
    assert means["counts"].figures["recall@1"] == next(
        row.figures["recall@1"].value
        for row in report.searches
        if (row.scope.system, row.scope.split) == ("counts", "test")
    )


def test_each_modality_has_its_row_where_there_are_images(
    pictures: Dataset, counting_encoder: MakeEncoder, tmp_path: Path
) -> None:
    for name, first_byte in (("red", b"\0"), ("blue", b"\1")):
        (tmp_path / f"{name}.jpg").write_bytes(first_byte)
    blind = {id: msgspec.structs.replace(product, attributes=None) for id, product in pictures.products.items()}
    seen = replace(pictures, products=blind, images=tmp_path)
    asked = Benchmark(seen, benchmark(pictures, [*pictures.products]).tasks)

    report = evaluate(with_baselines({"counts": counting_encoder(wants_images=True)}, ["counts"]), [asked], FAST)

    recalls = {(row.scope.system, row.scope.modality): row.figures["recall@1"].value for row in report.searches}
    assert list(recalls) == [(name, "text") for name in ("TF-IDF", "BM25")] + [
        ("counts", modality) for modality in ("text", "image", "both")
    ]
    assert recalls["counts", "both"] > recalls["counts", "text"], "the images alone tell the colours"
    assert all(row.scope.baseline for row in report.searches)
    assert report.differences == []


@pytest.mark.parametrize(("splits", "chosen"), [(("valid", "test"), "test"), (("valid", "test", "test_om"), "test_om")])
def test_new_clusters_are_asked_for_where_there_are_any(
    catalogue: Dataset, splits: tuple[str, ...], chosen: str
) -> None:
    pairs = [replace(pair, split=split) for split in splits for pair in catalogue.pairs]

    mark = benchmark(replace(catalogue, pairs=pairs))

    assert [(task.protocol, task.split) for task in mark.tasks] == [("cluster_mates", chosen)]
    assert mark.pairs == chosen


def test_a_catalogue_without_clusters_is_searched_for_its_pairs(catalogue: Dataset) -> None:
    assert benchmark(replace(catalogue, clusters={})).tasks[0].protocol == "one_catalogue"


def test_two_systems_of_one_name_are_refused(shop: Dataset, counting_encoder: MakeEncoder) -> None:
    with pytest.raises(ValueError, match="not all different"):
        evaluate(with_baselines({"BM25": counting_encoder()}), [benchmark(shop)], FAST)


def test_the_same_seed_gives_the_same_report(shop: Dataset) -> None:
    first, again = (evaluate(with_baselines({}), [benchmark(shop)], FAST) for _ in range(2))

    assert first == again


def test_a_report_is_read_back_as_it_was(report: Report, tmp_path: Path) -> None:
    write_report(tmp_path / "report.json", report)

    assert read_report(tmp_path / "report.json") == report


@pytest.mark.parametrize(
    ("content", "reason"), [("{}", "is no evaluation report"), ("\xff", "is no evaluation report")]
)
def test_what_is_no_report_is_refused(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(content.encode("latin-1"))

    with pytest.raises(ValueError, match=reason):
        read_report(tmp_path / "report.json")


def test_a_report_of_another_format_is_refused(report: Report, tmp_path: Path) -> None:
    write_report(tmp_path / "report.json", msgspec.structs.replace(report, format=99))

    with pytest.raises(ValueError, match="report format 99, this version reads 1"):
        read_report(tmp_path / "report.json")


def test_tables_name_the_split_and_the_interval_of_each_figure(report: Report) -> None:
    text = markdown(grids(report))

    assert "**shop (en), two_tables, split test: 2 queries, 3 matches**" in text
    assert "**shop (en), two_tables, split whole, unseen queries only: 3 queries, 4 matches**" in text
    row = report.searches[0].figures["recall@1"]
    assert f"| TF-IDF (baseline) | text | {row.value:.3f} [{row.low:.3f}, {row.high:.3f}] |" in text
    assert "**Pair matching**" in text


def test_a_terminal_shows_the_same_cells(report: Report) -> None:
    console = Console(file=StringIO(), width=250)

    show(grids(report), console)

    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for grid in grids(report):
        assert all(cell in shown for row in grid.rows for cell in row)


def test_names_with_markup_in_them_stay_as_they_are(shop: Dataset, counting_encoder: MakeEncoder) -> None:
    systems = [System("[bold]a|b", BundleRanker(counting_encoder()))]
    found = grids(evaluate(lambda dataset: systems, [benchmark(shop)], FAST))
    console = Console(file=StringIO(), width=250)

    show(found, console)

    assert "[bold]a|b" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "| [bold]a\\|b | text |" in markdown(found)
