"""Bundles on data sets that are known by name, as ``kinstream model evaluate`` measures them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.data.dataset import Dataset
from model.data.readers import read_named
from model.data.splits import split_by_group
from model.evaluation.evaluate import Say, Settings, benchmark, evaluate, with_baselines
from model.evaluation.report import Report
from model.runtime import OnnxEncoder

TEST_SHARE, SPLIT_SEED = 0.2, 1
"""Of a set without pairs: share of the products that are held out, and the seed of that split."""


def report_of(
    bundles: Sequence[Path], baselines: Sequence[Path], sets: Sequence[str], data: Path, seed: int, say: Say
) -> Report:
    """Measure bundles on the test splits of data sets, beside the lexical baselines.

    Args:
        bundles: folders, the baselines among them.
        baselines: those that are there to be beaten.
        sets: names of data sets.
        data: the folder that they lie in.
        seed: of the intervals.
        say: takes a line on what is being done.

    Raises:
        BundleError: a bundle is damaged or unsound.
        DataError: a set is not there or damaged.
        ValueError: two bundles have one name.
    """
    encoders = {name: OnnxEncoder.load(folder) for name, folder in names_of(bundles).items()}
    zero_shot = [name for name, folder in names_of(bundles).items() if folder in baselines]
    marks = [benchmark(dataset, held_out(dataset)) for dataset in (read_named(data, name) for name in sets)]
    return evaluate(with_baselines(encoders, zero_shot), marks, Settings(seed), say)


def held_out(dataset: Dataset) -> list[str]:
    """The products that no training may see, of a set whose pairs do not say so."""
    if dataset.pairs:
        return []
    splits = split_by_group(dataset, {"train": 1 - TEST_SHARE, "test": TEST_SHARE}, SPLIT_SEED)
    return [id for id, split in splits.items() if split == "test"]


def names_of(bundles: Sequence[Path]) -> dict[str, Path]:
    """Each by the name of its folder, or by its path where two agree."""
    short = [folder.resolve().name for folder in bundles]
    return {
        name if short.count(name) == 1 else str(folder): folder for name, folder in zip(short, bundles, strict=True)
    }
