"""Pictures are written, show what they should, and are the same for the same input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.data.dataset import Dataset
from model.evaluation.evaluate import Settings, benchmark, evaluate, with_baselines
from model.evaluation.plots import flattened, recall_curves, similarity_histograms, vector_map
from model.evaluation.report import Report


@pytest.fixture
def report(shop: Dataset) -> Report:
    return evaluate(with_baselines({}), [benchmark(shop)], Settings(resamples=20))


def clusters() -> tuple[np.ndarray, list[str]]:
    """Two clouds of vectors [20, 6], far apart."""
    random = np.random.default_rng(3)
    centres = np.repeat(np.eye(6)[:2] * 5, 10, axis=0)
    return (centres + random.normal(size=(20, 6))).astype(np.float32), ["left"] * 10 + ["right"] * 10


def test_curves_name_every_system_and_the_split(report: Report, tmp_path: Path) -> None:
    recall_curves(report, tmp_path / "curves.svg")
    recall_curves(report, tmp_path / "curves.png")

    text = (tmp_path / "curves.svg").read_text()
    assert all(f">{label}</text>" in text for label in ("shop, two_tables, test", "TF-IDF, text", "BM25, text"))
    with Image.open(tmp_path / "curves.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 10


def test_histograms_have_a_panel_for_each_system(report: Report, tmp_path: Path) -> None:
    similarity_histograms(report, tmp_path / "similarities.svg")

    text = (tmp_path / "similarities.svg").read_text()
    assert all(f">{name}, shop, text, test</text>" in text for name in ("TF-IDF", "BM25"))
    assert text.count(">threshold, from valid</text>") == 2


def test_the_same_report_gives_the_same_bytes(report: Report, tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        recall_curves(report, tmp_path / name)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_the_map_keeps_clouds_apart(method: str, tmp_path: Path) -> None:
    vectors, groups = clusters()

    points = flattened(vectors, method, seed=0)  # type: ignore[arg-type]
    vector_map(vectors, groups, tmp_path / "map.svg", method)  # type: ignore[arg-type]

    assert points.shape == (20, 2)
    assert (points == flattened(vectors, method, seed=0)).all()  # type: ignore[arg-type]
    between = np.linalg.norm(points[:10].mean(axis=0) - points[10:].mean(axis=0))
    assert between > 1.5 * points[:10].std(axis=0).max()
    assert ">left</text>" in (tmp_path / "map.svg").read_text()


@pytest.mark.filterwarnings("error")
def test_groups_are_named_in_any_script(tmp_path: Path) -> None:
    vectors, groups = clusters()
    vector_map(vectors, [{"left": "手机", "right": "מנורה"}[group] for group in groups], tmp_path / "map.svg")
    text = (tmp_path / "map.svg").read_text("utf-8")
    assert all(f">{name}</text>" in text for name in ("手机", "מנורה"))


def test_nothing_to_draw_is_said(report: Report, shop: Dataset, tmp_path: Path) -> None:
    empty = evaluate(lambda dataset: [], [benchmark(shop)], Settings(resamples=20))

    with pytest.raises(ValueError, match="nothing of the kind"):
        recall_curves(empty, tmp_path / "curves.png")
    with pytest.raises(ValueError, match="2 vectors and 1 groups"):
        vector_map(np.eye(2, dtype=np.float32), ["a"], tmp_path / "map.png")
