"""Sends generated events, sound and spoilt, through decoder and pipeline, and accounts for each: `make fuzz`.

An event is accounted for when it is applied (catalogue, card, vector and lists are then exactly as the contract says) or
refused with a reason, never both or neither. The last line is one JSON object:

* events: how many were sent.
* crashes: exceptions other than a refusal.
* silently_dropped: events that are not accounted for.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Annotated

import typer
from accounting import Account
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from samples import Event, Shop, written
from spoiling import spoilt

SPOILT = 0.5
"""Share of the events that are spoilt."""
LARGEST_BATCH = 256
EVENTS_PER_ID = 20
SHOWN = 20
"""Faults that are printed."""
FATES = ("embedded", "facts", "unchanged", "stale", "duplicate", "deleted", "dead_letter")

console = Console(width=None if sys.stdout.isatty() else 130)


def main(
    events: Annotated[int, typer.Option(min=1, help="How many.")] = 100_000,
    seed: Annotated[int | None, typer.Option(help="The same events again; a new one each time when left out.")] = None,
) -> None:
    """Run, print a table, and the JSON; exit code 1 when an event crashed something or was dropped."""
    chosen = seed if seed is not None else time.time_ns() % 1_000_000
    account = run(events, chosen)
    console.print(_table(account.fates, f"{events} events, seed {chosen}"))
    for fault in [*account.crashes, *account.dropped][:SHOWN]:
        console.print(f"✗ {fault}", markup=False, highlight=False, soft_wrap=True)
    figures = {"events": account.sent, "crashes": len(account.crashes), "silently_dropped": len(account.dropped)}
    print(json.dumps(figures))
    raise typer.Exit(1 if account.crashes or account.dropped else 0)


def run(events: int, seed: int) -> Account:
    """Send so many events in batches of any size."""
    random, account = Random(seed), Account()
    stream = generated(random, max(10, events // EVENTS_PER_ID))
    with _progress() as progress:
        task = progress.add_task("events", total=events)
        while account.sent < events:
            size = min(events - account.sent, random.choice([1, 2, random.randint(1, LARGEST_BATCH)]))
            account.feed([next(stream) for _ in range(size)])
            progress.advance(task, size)
    account.close()
    return account


def generated(random: Random, ids: int) -> Iterator[Event]:
    """Events without an end, about so many different products."""
    shop = Shop(random, ids)
    while True:
        draft = shop.draft()
        yield spoilt(random, draft) if random.random() < SPOILT else written(draft)


def _progress() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _table(fates: Counter[tuple[str, str]], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("kind")
    for fate in FATES:
        table.add_column(fate, justify="right")
    for kind in dict.fromkeys(kind for kind, _ in sorted(fates)):
        table.add_row(kind, *(str(fates[kind, fate] or "") for fate in FATES))
    table.add_section()
    table.add_row("all", *(str(sum(n for (_, fate), n in fates.items() if fate == each)) for each in FATES))
    return table


if __name__ == "__main__":
    typer.run(main)
