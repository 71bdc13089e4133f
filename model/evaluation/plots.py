"""Pictures of a report: recall curves, similarities of matches and others, and a map of the vectors."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from model.evaluation.ranking import Vectors
from model.evaluation.report import PairRow, Report, SearchRow

COLUMNS = 3
TICKS = (1, 5, 10, 50)
LARGEST_GROUPS = 10
"""Groups that have a colour of their own on the map; the others are grey."""


def recall_curves(report: Report, file: Path) -> None:
    """Recall by k, one panel for each variant, task and split, all queries; PNG or SVG by the file's suffix.

    Raises:
        ValueError: the report has no search.
    """
    groups: dict[str, list[SearchRow]] = defaultdict(list)
    for row in report.searches:
        if row.scope.subset == "all":
            groups[f"{row.scope.told}, {row.scope.task}, {row.scope.split}"].append(row)
    with _panels(file, len(groups)) as panels:
        for panel, (title, rows) in zip(panels, groups.items(), strict=True):
            for row in rows:
                style = "--" if row.scope.baseline else "-"
                panel.plot(report.cuts, row.curve, style, label=f"{row.scope.system}, {row.scope.modality}")
            panel.set(title=title, xlabel="k", ylabel="recall@k", xscale="log", ylim=(0, 1.02))
            panel.set_xticks(TICKS, [str(k) for k in TICKS], minor=False)
            panel.legend(fontsize="small")


def similarity_histograms(report: Report, file: Path) -> None:
    """Scores of the pairs that match and of those that don't, with the threshold; a panel for each row of pair matching.

    Raises:
        ValueError: the report has no pair matching.
    """
    with _panels(file, len(report.pairs)) as panels:
        for panel, row in zip(panels, report.pairs, strict=True):
            _histogram(panel, row)


def vector_map(
    vectors: Vectors, groups: Sequence[str], file: Path, method: Literal["pca", "tsne"] = "pca", seed: int = 0
) -> None:
    """Vectors [n, dim] in two dimensions, coloured by group; the largest groups are named.

    Raises:
        ValueError: fewer than three vectors, or not one group for each.
    """
    if len(vectors) < 3 or len(groups) != len(vectors):
        raise ValueError(
            f"{len(vectors)} vectors and {len(groups)} groups make no map: give three or more, and one each"
        )
    points = flattened(vectors, method, seed)
    names, counts = np.unique(np.array(groups), return_counts=True)
    largest = names[np.argsort(-counts, kind="stable")[:LARGEST_GROUPS]]
    with _panels(file, 1) as (panel,):
        rest = ~np.isin(groups, largest)
        panel.scatter(points[rest, 0], points[rest, 1], s=4, c="lightgrey")
        for name in largest:
            of = points[np.array(groups) == name]
            panel.scatter(of[:, 0], of[:, 1], s=8, label=str(name))
        panel.set(title=f"{len(vectors)} products, {method}", xticks=[], yticks=[])
        panel.legend(fontsize="small")


def flattened(vectors: Vectors, method: Literal["pca", "tsne"], seed: int) -> Vectors:
    """Vectors [n, dim] to float32 [n, 2]; the seed alone decides how."""
    if method == "pca":
        mapping = PCA(n_components=2, random_state=seed)
    else:
        mapping = TSNE(n_components=2, random_state=seed, perplexity=min(30, (len(vectors) - 1) / 3), init="pca")
    return np.asarray(mapping.fit_transform(vectors), np.float32)


def _histogram(panel: Axes, row: PairRow) -> None:
    for counts, label in ((row.matching, "matches"), (row.other, "others")):
        panel.stairs(np.array(counts) / max(sum(counts), 1), row.edges, fill=True, alpha=0.5, label=label)
    panel.axvline(row.threshold, color="black", linewidth=1, label=f"threshold, from {row.threshold_split}")
    scope = row.scope
    panel.set(title=f"{scope.system}, {scope.dataset}, {scope.modality}, {scope.split}", xlabel="score", ylabel="share")
    panel.legend(fontsize="small")


@contextmanager
def _panels(file: Path, number: int) -> Iterator[Sequence[Axes]]:
    """Panels in rows of a figure that is then written; the same input gives the same bytes.

    Letters of an SVG stay letters: what shows it has fonts for more languages than what draws it.
    """
    if number == 0:
        raise ValueError(f"{file} would be empty: the report has nothing of the kind")
    columns = min(COLUMNS, number)
    lines = -(-number // columns)
    with mpl.rc_context({"svg.hashsalt": "kinstream", "svg.fonttype": "none"}), warnings.catch_warnings():
        if file.suffix == ".svg":
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure(figsize=(5 * columns, 4 * lines), layout="constrained")
        FigureCanvasAgg(figure)
        yield [figure.add_subplot(lines, columns, at + 1) for at in range(number)]
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
