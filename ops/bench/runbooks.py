"""Plays big-ann streaming runbooks on the engine and on others, and prints what each search step finds.

python ops/bench/runbooks.py RUNBOOK.yaml --vectors FILE; without a file the generated ones of streams.py. Vectors are
compared by cosine similarity, whatever the data set's own metric is, and the truth is computed here.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import functools
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from contenders import CONTENDERS, warm_up
from flat import load_faiss
from player import Player, Row
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from runbook import Runbook, RunbookError, Vectors, read_runbook, read_vectors
from streams import SEED, STREAMS, Stream

COLUMNS = {
    "step": "step",
    "contender": "contender",
    "live": "live",
    "list_recall": "lists",
    "query_recall": "queries",
    "distances_per_event": "distances",
    "ms_per_event": "ms",
    "rewritten_per_event": "rewritten",
    "bytes_per_product": "B/product",
    "resident_mb": "RSS MB",
}
PROGRESS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
FORMATS = {"list_recall": ".4f", "query_recall": ".4f", "ms_per_event": ".3f"}


def main(  # noqa: PLR0913, PLR0917
    file: Annotated[Path | None, typer.Argument(help="A runbook; without it, those of streams.py.")] = None,
    vectors: Annotated[Path | None, typer.Option(help="Its vectors: .npy, .fbin, .u8bin or .i8bin.")] = None,
    queries: Annotated[
        Path | None, typer.Option(help="Queries in such a file, else made from living products.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Which data set, where the runbook has several.")] = None,
    contender: Annotated[list[str] | None, typer.Option(help=f"Some of {', '.join(CONTENDERS)}; else all.")] = None,
    k: Annotated[int, typer.Option(min=1, help="Entries of a list.")] = 10,
    slack: Annotated[int, typer.Option(min=0, help="Entries kept beyond k.")] = 20,
    batch: Annotated[int, typer.Option(min=1, help="Events applied at once.")] = 64,
    products: Annotated[int, typer.Option(min=100, help="Products of each generated stream.")] = 4000,
    seed: Annotated[int, typer.Option(help="Of the generated streams.")] = SEED,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of tables.")] = False,
) -> None:
    """Lists and queries are recall@k of a sample; distances, ms, rewritten lists: an event since the last search."""
    names = contender or _available()
    try:
        _check(names, file, vectors)
        streams = _streams(file, vectors, dataset, products, seed)
        for stream in streams:
            asked = _queries(queries, stream)
            _report(stream.runbook, list(_rows(stream, names, asked, k, slack, batch)), as_json)
    except (RunbookError, RuntimeError) as problem:
        print(problem, file=sys.stderr)
        raise typer.Exit(2) from None


def _available() -> list[str]:
    """All contenders that can run; faiss is needed for one of them."""
    try:
        load_faiss()
    except RuntimeError as problem:
        print(problem, file=sys.stderr)
        return [name for name in CONTENDERS if name != "faiss-flat"]
    return list(CONTENDERS)


def _check(names: list[str], file: Path | None, vectors: Path | None) -> None:
    unknown = [name for name in names if name not in CONTENDERS]
    if unknown:
        raise RunbookError(f"--contender: {', '.join(unknown)}: there are {', '.join(CONTENDERS)}")
    if (file is None) != (vectors is None):
        raise RunbookError("a runbook needs its vectors: give both RUNBOOK.yaml and --vectors, or neither")


def _streams(
    file: Path | None, vectors: Path | None, dataset: str | None, products: int, seed: int
) -> Iterator[Stream]:
    if file is None or vectors is None:
        yield from (make(products, seed) for make in STREAMS.values())
        return
    runbook = read_runbook(file, dataset)
    yield Stream(runbook, read_vectors(vectors, runbook.rows))


def _queries(file: Path | None, stream: Stream) -> Vectors | None:
    if file is None:
        return None
    queries = read_vectors(file, None)
    if queries.shape[1] != stream.vectors.shape[1]:
        held = stream.vectors.shape[1]
        raise RunbookError(
            f"{file}: {queries.shape[1]} dimensions, the vectors have {held}: give this data set's queries"
        )
    return queries


def _rows(stream: Stream, names: list[str], queries: Vectors | None, k: int, slack: int, batch: int) -> Iterator[Row]:
    runbook, vectors = stream
    events = sum(len(step.tags) for step in runbook.steps)
    with Progress(*PROGRESS, console=Console(stderr=True), transient=True) as progress:
        for name in names:
            task = progress.add_task(f"{runbook.dataset}: {name}", total=events)
            make = functools.partial(CONTENDERS[name], vectors.shape[1], k, slack)
            warm_up(make(), vectors.shape[1])
            player = Player(runbook, vectors, name, make, queries)
            yield from player.play(k, batch, functools.partial(progress.advance, task))


def _report(runbook: Runbook, rows: list[Row], as_json: bool) -> None:
    rows.sort(key=lambda row: row.step)
    if as_json:
        for row in rows:
            print(json.dumps(asdict(row)))
        return
    table = Table(*COLUMNS.values(), title=f"{runbook.dataset}: {len(runbook.steps)} steps", title_justify="left")
    for row in rows:
        values = asdict(row)
        last = row is rows[-1] or rows[rows.index(row) + 1].step != row.step
        table.add_row(*(_cell(name, values[name]) for name in COLUMNS), end_section=last)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _cell(name: str, value: float | str | None) -> str:
    if value is None:
        return "-"
    return format(value, FORMATS.get(name, ".1f")) if isinstance(value, float) else str(value)


if __name__ == "__main__":
    typer.run(main)
