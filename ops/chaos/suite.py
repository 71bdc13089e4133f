"""Break everything, again and again, and see that nothing is lost: `make chaos`.

A shop sells without pause while the service, Redis, the broker and the network between them are killed, paused, emptied and
cut off, in an order that the seed gives. After each fault readers must see everything again; now and then all is compared
with what Kafka acknowledged. docs/operations.md tells how to read the table. The last line is one JSON object; exit code 1
when a product is lost, a ghost is seen, or the lists are not right.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "local"))

from campaign import Campaign
from daemon import ChaosError
from durability import durability_cost
from processes import ServerError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from story import Story, named, plan, stories
from tally import Tally
from world import World

PRODUCTS, RATE, SNAPSHOT_SECONDS = 3000, 200.0, 3.0
"""Of the shop and of the service: products at the beginning, events a second, seconds between snapshots."""
LAST_MINUTES = 4.0
"""Of the bound, kept for the last comparisons and the cost of durability; of a short bound a fourth."""

console = Console(width=None if sys.stdout.isatty() else 110)


def main(
    seed: Annotated[int, typer.Option(help="Gives the order of faults and what the shop sells.")] = 1,
    kills: int = 200,
    redis_faults: int = 50,
    broker_faults: int = 50,
    network_faults: int = 30,
    minutes: Annotated[float, typer.Option(help="When they are nearly over, no new fault begins.")] = 40,
    only: Annotated[str, typer.Option(help="Stories by name, with commas between, instead of all.")] = "",
    times: Annotated[int, typer.Option(help="How often to play those.")] = 3,
) -> None:
    """Play it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began, known = time.monotonic(), stories()
    counts = {"kill": kills, "redis": redis_faults, "broker": broker_faults, "network": network_faults}
    chosen = named(known, only, times) if only else plan(known, counts, seed)
    folder = Path(tempfile.mkdtemp(prefix="kinstream-chaos-"))
    tally, world = Tally(), World(folder, seed, RATE, SNAPSHOT_SECONDS)
    cost, failure = None, ""
    try:
        world.open(PRODUCTS)
        _play(world, tally, chosen, began + 60 * (minutes - min(LAST_MINUTES, minutes / 4)))
        if not only:
            _end(world, tally, [story for story in known.values() if story.kind == "topic"])
            cost = durability_cost(world, console.print)
    except (ChaosError, ServerError, TimeoutError) as error:
        failure = str(error)
    except Exception as error:
        failure = repr(error)
        console.print_exception()
    finally:
        world.close()
    console.print(tally.table())
    _leave(folder, failure)
    print(json.dumps(tally.figures(seed, world.ledger.taken, cost)))
    sys.exit(1 if failure else 0)


def _play(world: World, tally: Tally, chosen: list[Story], until: float) -> None:
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=len(chosen))
        campaign = Campaign(
            world, tally, console.print, lambda story: bar.update(task, advance=1, description=story.name)
        )
        campaign.mixed(chosen, until)
    done = sum(row.times for row in tally.rows.values())
    console.print(f"{done} of {len(chosen)} faults played; the service ended by itself {world.restarts} times")


def _end(world: World, tally: Tally, endings: list[Story]) -> None:
    campaign = Campaign(world, tally, console.print, lambda story: console.print(story.name))
    campaign.rebuilt()
    campaign.last(endings)


def _leave(folder: Path, failure: str) -> None:
    """Nothing stays of a run that went well."""
    if not failure:
        shutil.rmtree(folder, ignore_errors=True)
        return
    console.print(f"[red]failed:[/] {failure}", highlight=False, soft_wrap=True)
    console.print(f"timeline: {folder / 'timeline.jsonl'}", highlight=False, soft_wrap=True)
    for log in sorted(folder.glob("*/service.log")):
        console.print(f"log: {log}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
