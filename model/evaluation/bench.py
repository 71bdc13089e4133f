"""Bundles on data sets that are known by name, as ``kinstream model evaluate`` measures them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.data.readers import read_named
from model.data.splits import held_out
from model.evaluation.evaluate import Say, Settings, benchmarks, evaluate, with_baselines
from model.evaluation.report import Report
from model.runtime import OnnxEncoder
from producer.progress import Shown, silent

TEST_SHARE = 0.2
"""Of the products of a set whose pairs do not say which ones no training may see."""


def report_of(
    bundles: Sequence[Path],
    baselines: Sequence[Path],
    sets: Sequence[str],
    data: Path,
    seed: int,
    say: Say,
    shown: Shown = silent,
) -> Report:
    """Measure bundles on the test splits of data sets, beside the lexical baselines.

    Args:
        bundles: folders, the baselines among them.
        baselines: those that are there to be beaten.
        sets: names of data sets.
        data: the folder that they lie in.
        seed: of the intervals.
        say: takes a line on what is being done.
        shown: is told how many products an encoder has encoded.

    Raises:
        BundleError: a bundle is damaged or unsound.
        DataError: a set is not there or damaged.
        ValueError: two bundles have one name.
    """
    named = names_of(bundles)
    encoders = {name: OnnxEncoder.load(folder) for name, folder in named.items()}
    zero_shot = [name for name, folder in named.items() if folder in baselines]
    datasets = [read_named(data, name) for name in sets]
    marks = [
        mark
        for dataset in datasets
        for mark in benchmarks(dataset, [] if dataset.pairs else held_out(dataset, TEST_SHARE))
    ]
    return evaluate(with_baselines(encoders, zero_shot, shown), marks, Settings(seed), say)


def names_of(bundles: Sequence[Path]) -> dict[str, Path]:
    """Each by the name of its folder, or by its path where two agree."""
    short = [folder.resolve().name for folder in bundles]
    return {
        name if short.count(name) == 1 else str(folder): folder for name, folder in zip(short, bundles, strict=True)
    }
