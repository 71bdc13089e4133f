"""The neighbour engine against others and against its limits: `make bench-engine`, at most 20 minutes on two cores.

* recall_churn_100k, recall_churn_1m: of 1000 lists, against brute force, after events of half as many as there are products:
  half updates, a quarter deletes, a quarter inserts; uneven clusters, 384 dimensions at 100,000 products, 64 at a million.
* time_vs_hnswlib: the engine's time / that of bare hnswlib, which marks what dies, and adds and searches once for each
  new vector; the same events at 100,000 products, in turn, 256 at once.
* growth_10k_1m: an event's time at a million products / at 10,000, 64 dimensions.
* bytes_per_product: of the engine's arrays above vectors and index, at 100,000 products.
* pause_ms_100k: the longest call for one event while the index compacts and grows, in CPU time: the engine waits for nothing.
* vs_probe160, vs_bruteforce: an event's time when a product is offered to its 160 nearest, or compared with all by faiss, /
  the engine's; 20,000 products, 384 dimensions, the same events in turn, 256 at once. The table has their recall, and
  what a probe as right as the engine costs, rounds, and a brute force that gets everything from one matrix product.

The million is measured in a process of its own beside the rest. The last line is one JSON object.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import json
import multiprocessing
import sys
import threading
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import phases
from report import draw, print_comparison, print_costs, print_figures
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from trial import Point

DIM, SMALL_DIM = 384, 64
MILLION_SECONDS = 1050.0
"""After so long the churn at a million products stops; its recall takes half a minute more."""
QUICK = 20


@dataclass(slots=True)
class Measured:
    """All points by phase, and the longest pause in seconds."""

    churned: list[Point]
    pause: float
    compared: list[Point]
    grid: list[Point]
    growth: list[Point]


def main(
    quick: Annotated[bool, typer.Option(help=f"Sizes / {QUICK}, for a trial of the benchmark itself.")] = False,
    skip_1m: Annotated[bool, typer.Option("--skip-1m", help="Leave the million products out.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all figures.")] = None,
    plot: Annotated[Path | None, typer.Option(help="SVG file for what an event costs by catalogue size.")] = None,
) -> None:
    """Measure everything, print the tables, and the JSON."""
    measured = _measure(QUICK if quick else 1, not skip_1m)
    figures = _figures(measured)
    print_costs([*measured.grid, *measured.growth, *measured.churned])
    print_comparison([*measured.churned, *measured.compared])
    print_figures(figures)
    _say_if_cut(measured.growth)
    if json_file is not None:
        json_file.write_text(json.dumps({"figures": figures, **asdict(measured)}, indent=1) + "\n")
    if plot is not None:
        draw([*measured.grid, *measured.growth, *measured.compared, *measured.churned], plot)
    print(json.dumps(figures))


def _measure(smaller: int, million: bool) -> Measured:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} events"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        beside = _Beside(progress, [size // smaller for size in (10_000, 100_000, 1_000_000)]) if million else None
        try:
            sizes = [size // smaller for size in (100_000, 20_000, 10_000)]
            task = progress.add_task(f"{sizes[0]} products, {DIM} dimensions", total=None)
            churned, pause = phases.churned(sizes[0], DIM, lambda events: progress.advance(task, events))
            progress.update(task, description=f"{sizes[1]} products, all contenders")
            compared = phases.compared(sizes[1], DIM, lambda events: progress.advance(task, events))
            progress.update(task, description=f"{sizes[2]} products, dimensions, k and slack")
            grid = phases.grid(sizes[2], lambda events: progress.advance(task, events))
            progress.update(task, description="all else is done")
            return Measured(churned, pause, compared, grid, beside.points() if beside else [])
        finally:
            if beside is not None:
                beside.stop()


class _Beside:
    """The growing catalogue, in a process of its own; a thread follows it."""

    def __init__(self, progress: Progress, sizes: list[int]) -> None:
        self._points: list[Point] | None = None
        self._progress = progress
        self._task = progress.add_task(
            f"{sizes[-1]} products, {SMALL_DIM} dimensions", total=phases.growth_events(sizes)
        )
        spawn = multiprocessing.get_context("spawn")
        reading, writing = spawn.Pipe(duplex=False)
        self._process = spawn.Process(
            target=phases.growth, args=(writing, sizes, SMALL_DIM, MILLION_SECONDS), daemon=True
        )
        self._process.start()
        writing.close()
        self._thread = threading.Thread(target=self._follow, args=(reading,), daemon=True)
        self._thread.start()

    def points(self) -> list[Point]:
        """Waits until the process has sent them."""
        self._thread.join()
        if self._points is None:
            raise RuntimeError("the process of the growing catalogue ended early: its error is above")
        return self._points

    def stop(self) -> None:
        """End the process if it still runs."""
        self._process.terminate()
        self._process.join()

    def _follow(self, pipe: Connection) -> None:
        try:
            while self._points is None:
                sent = pipe.recv()
                if isinstance(sent, int):
                    self._progress.advance(self._task, sent)
                else:
                    self._points = sent
        except EOFError:
            return


def _figures(measured: Measured) -> dict[str, float | None]:
    """Those that the last line has."""
    engine, bare = (_first(measured.churned, name) for name in ("engine", "hnswlib"))
    ours, probe, flat = (_first(measured.compared, name) for name in ("engine", "probe-160", "faiss-flat"))
    growth = measured.growth
    return {
        "recall_churn_100k": _rounded(engine.list_recall),
        "recall_churn_1m": _rounded(growth[-1].list_recall) if growth else None,
        "time_vs_hnswlib": round(engine.ms_per_event / bare.ms_per_event, 3),
        "growth_10k_1m": round(growth[-1].ms_per_event / growth[0].ms_per_event, 3) if growth else None,
        "bytes_per_product": round(engine.bytes_per_product),
        "pause_ms_100k": round(measured.pause * 1000, 1),
        "vs_probe160": round(probe.ms_per_event / ours.ms_per_event, 3),
        "vs_bruteforce": round(flat.ms_per_event / ours.ms_per_event, 3),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def _say_if_cut(growth: list[Point]) -> None:
    """When the time was up before the churn of the largest catalogue was done."""
    if growth and growth[-1].events < growth[-1].products // 2 * 0.95:
        done, products = growth[-1].events, growth[-1].products
        print(f"time was up: {done} events at {products} products, {done / products:.0%} churn instead of 50 %")


def _first(points: list[Point], name: str) -> Point:
    return next(found for found in points if found.contender == name)


if __name__ == "__main__":
    typer.run(main)
