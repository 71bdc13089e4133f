"""All plots of an evaluation, as files in a folder."""

from __future__ import annotations

from pathlib import Path

from model.data.image_files import ImageFiles
from model.data.readers import read_named
from model.evaluation.bundles import BundleRanker
from model.evaluation.plots import recall_curves, similarity_histograms, vector_map
from model.evaluation.report import Report
from model.runtime import OnnxEncoder

MAPPED = 2000
"""Products of a map at most: more would be one grey cloud."""


def plot(report: Report, bundle: Path, name: str, data: Path, folder: Path) -> None:
    """Draw recall curves, histograms of similarity, and a map of the vectors that a bundle gives a data set.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recall_curves(report, folder / "recall.svg")
    if report.pairs:
        similarity_histograms(report, folder / "similarity.svg")
    dataset = read_named(data, name)
    products = list(dataset.products.values())[:MAPPED]
    read = ImageFiles(dataset.images).read if dataset.images else None
    space = BundleRanker(OnnxEncoder.load(bundle), read).over(products)
    groups = [(product.category or product.brand or "unknown").split(" > ")[0] for product in products]
    vector_map(space.vectors([product.id for product in products]), groups, folder / "map.svg")
