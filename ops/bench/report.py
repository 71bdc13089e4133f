"""Tables and the plot of the engine's benchmark."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from trial import Point

PANELS = {
    "distances_per_event": "distances an event",
    "rewritten_per_event": "lists rewritten an event",
    "ms_per_event": "ms an event",
    "bytes_per_product": "bytes a product above vectors and index",
}
LIMITS = {
    "recall_churn_100k": "at least 0.998",
    "recall_churn_1m": "at least 0.995",
    "time_vs_hnswlib": "at most 1.5",
    "growth_10k_1m": "at most 3",
    "bytes_per_product": "at most 1024",
    "pause_ms_100k": "at most 100",
    "vs_probe160": "above 1",
    "vs_bruteforce": "above 1",
}


def print_costs(points: list[Point]) -> None:
    """The engine at every size and setting, in batches."""
    table = _table(
        "What an event costs the engine", "products", "dim", "k", "slack", "events", "ms", *_COSTS, "list recall"
    )
    for found in points:
        if found.contender == "engine" and found.batch > 1:
            sizes = (str(value) for value in (found.products, found.dim, found.k, found.slack, found.events))
            table.add_row(*sizes, f"{found.ms_per_event:.3f}", *_costs(found), _recall(found))
    _console().print(table)


def print_comparison(points: list[Point]) -> None:
    """All contenders; the ratio is to the engine in the same place."""
    names = ("contender", "products", "batch", "events", "ms", "x engine", *_COSTS, "list recall")
    table = _table("Contenders on the same events", *names)
    engines = {(found.dim, found.products, found.batch): found for found in points if found.contender == "engine"}
    ours = None
    for found in points:
        ours = engines.get((found.dim, found.products, found.batch), ours)
        ratio = found.ms_per_event / ours.ms_per_event if ours else float("nan")
        sizes = (found.contender, str(found.products), str(found.batch), str(found.events))
        table.add_row(*sizes, f"{found.ms_per_event:.3f}", f"{ratio:.2f}", *_costs(found), _recall(found))
    _console().print(table)


def print_figures(figures: dict[str, float | None]) -> None:
    """The figures of the last line, beside what they should be."""
    table = _table("Engine", "figure", "value", "wanted")
    for name, value in figures.items():
        table.add_row(name, "-" if value is None else f"{value:g}", LIMITS[name])
    _console().print(table)


def draw(points: list[Point], file: Path) -> None:
    """What an event costs the engine by catalogue size: a line for each setting, a dot where there is one size only."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "kinstream"
    from matplotlib import pyplot  # noqa: PLC0415

    figure, axes = pyplot.subplots(2, 2, figsize=(11, 8), layout="constrained")
    for axis, (field, title) in zip(axes.flat, PANELS.items(), strict=True):
        for label, line in _lines(points).items():
            sizes = [found.products for found in line]
            axis.plot(sizes, [getattr(found, field) for found in line], marker="o", label=label)
        axis.set(xscale="log", xlabel="products", title=title)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    figure.savefig(file, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _lines(points: list[Point]) -> dict[str, list[Point]]:
    """The engine's points in batches by setting, each sorted by size."""
    lines = defaultdict[str, list[Point]](list)
    for found in sorted(points, key=lambda found: (found.dim, found.k, found.slack, found.products)):
        if found.contender == "engine" and found.batch > 1:
            lines[f"{found.dim}-d, k {found.k}, slack {found.slack}"].append(found)
    return dict(lines)


_COSTS = ("distances", "rewritten", "B/product")


def _costs(found: Point) -> tuple[str, str, str]:
    return f"{found.distances_per_event:.0f}", f"{found.rewritten_per_event:.1f}", f"{found.bytes_per_product:.0f}"


def _recall(found: Point) -> str:
    return "-" if found.list_recall is None else f"{found.list_recall:.4f}"


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left")


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 120)
