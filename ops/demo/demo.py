"""The demo: a real shop's hour in a minute, through a real Kafka, a real encoder and a real Redis.

make demo                     643 electronics
make demo FILE=mine.jsonl     your own products (JSON Lines)
make demo KEEP=1              leave everything running afterwards
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from demo_products import ROOT, Product, fetch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from script import HOUR, scripted_hour

sys.path.insert(0, str(ROOT / "ops" / "local"))
from shop import Shop, ShopError, percentile

MODEL = ROOT / ".local" / "models" / "default"
SPEED = 60
HELD_BACK = 40
MAX_PRODUCTS = 3000
"""Of an own file: more would not be encoded within the minutes that a demo may take."""

console = Console(width=None if sys.stdout.isatty() else 116)


def main(
    file: Annotated[Path | None, typer.Option(help="Your own products, JSON Lines.")] = None,
    keep: Annotated[bool, typer.Option(help="Leave servers and service running.")] = False,
) -> None:
    """Play it; exit code 0 when every list is right at the end."""
    folder = Path(tempfile.mkdtemp(prefix="kinstream-demo-"))
    shop = Shop(folder, model=str(MODEL))
    code = 1
    try:
        products = _products(file)
        code = _play(shop, products)
    except ShopError as error:
        console.print(f"[red]error:[/] {error}", highlight=False)
    finally:
        shop.stop(keep)
    if keep:
        _say_how_to_go_on(shop)
    elif code == 0 or shop.service_pid is None:
        shutil.rmtree(folder)
    sys.exit(code)


def _play(shop: Shop, products: list[Product]) -> int:
    with console.status("starting a real Kafka, Redis and Prometheus …"):
        shop.start_servers()
    console.print("1. Kafka, Redis and Prometheus run on 127.0.0.1")
    with console.status("starting kinstream …"):
        shop.start_service()
    console.print("2. kinstream runs: consumer, encoder (ONNX Runtime), index and neighbour graph")
    newcomers, shown = products[:HELD_BACK], products[HELD_BACK:]
    _publish(shop, shown)
    console.print(
        f"3. {len(shown)} products published, embedded, indexed; every list is in Redis ({HELD_BACK} more come later)"
    )
    watched, story = _story(shop, shown)
    titles = {product["id"]: str(product.get("title") or product["id"]) for product in products}
    before = {id: shop.neighbours(id) for id in watched}
    buckets, outcomes = _buckets(shop), shop.outcomes()
    spared = {*watched, *(change["id"] for change in story)}
    changes = sorted([*scripted_hour(shown, newcomers, spared), *story], key=lambda change: change["ts"])
    _replay(shop, changes)
    console.print(f"4. an hour of changes in a minute: {len(changes)} events, {_counted(shop, outcomes)}")
    _compare(before, {id: shop.neighbours(id) for id in watched}, watched, titles)
    _freshness(buckets, _buckets(shop))
    with console.status("comparing every list with the exact answer …"):
        verified = shop.command("verify", check=False)
    console.print(verified.stdout or verified.stderr, highlight=False)
    return verified.returncode


def _products(file: Path | None) -> list[Product]:
    if file is None:
        with console.status("fetching real products …"):
            return fetch(ROOT / ".local")
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ShopError(f"FILE={file} cannot be read: {error}") from error
    products = [_product(file, number, line) for number, line in enumerate(lines, 1) if line.strip()][:MAX_PRODUCTS]
    if len(products) <= 2 * HELD_BACK:
        raise ShopError(f"FILE={file} has {len(products)} products: the demo wants more than {2 * HELD_BACK}")
    return products


def _product(file: Path, number: int, line: str) -> Product:
    """The demo's story edits titles, so each product needs one."""
    try:
        product: Product = json.loads(line)
        if product["id"] and product["title"]:
            return product
    except (ValueError, KeyError, TypeError):
        pass
    raise ShopError(f"{file}:{number}: not a JSON object with id and title, which the demo needs in every line")


def _publish(shop: Shop, products: list[Product]) -> None:
    file = shop.folder / "products.jsonl"
    file.write_text("".join(json.dumps(product) + "\n" for product in products))
    shop.command("publish", str(file), "--partial")
    _watch(shop, "embedding", len(products), 0)


def _watch(shop: Shop, title: str, events: int, started: int) -> None:
    """A progress bar until so many events more than ``started`` were applied and committed."""
    with Progress(
        TextColumn("   {task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f}"),
        console=console,
    ) as bar:
        task = bar.add_task(title, total=events)

        def applied() -> bool:
            bar.update(task, completed=sum(shop.outcomes().values()) - started)
            return sum(shop.outcomes().values()) - started >= events and _caught_up(shop)

        shop.wait(applied, 300)
        bar.update(task, completed=events)


def _caught_up(shop: Shop) -> bool:
    lags = shop.samples("kinstream_consumer_lag")
    return bool(lags) and not any(value for _, value in lags)


def _story(shop: Shop, shown: list[Product]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Three products to watch, and the changes that happen to them: id -> what happens, and the changes."""
    first, second, third = (shown[len(shown) * part // 4]["id"] for part in (1, 2, 3))
    gone, sold = shop.neighbours(first)[0], shop.neighbours(third)[0]
    other = shown[0]
    moved = {field: other.get(field) for field in ("title", "category", "description", "brand")}
    watched = {
        first: "its nearest product is deleted",
        second: f"it becomes another product: {other.get('title')}",
        third: "its nearest product sells out",
    }
    story = [
        {"ts": HOUR * 0.5, "op": "delete", "id": gone},
        {"ts": HOUR * 0.6, "op": "upsert", "id": second, **moved},
        {"ts": HOUR * 0.7, "op": "upsert", "id": sold, "available": False},
    ]
    return watched, story


def _replay(shop: Shop, changes: list[dict[str, Any]]) -> None:
    file = shop.folder / "hour.jsonl"
    file.write_text("".join(json.dumps(change) + "\n" for change in changes))
    started = sum(shop.outcomes().values())
    player = shop.begin("replay", str(file), "--speed", str(SPEED))
    _watch(shop, f"an hour at {SPEED} x", len(changes), started)
    if player.wait(30) != 0:
        raise ShopError("kinstream replay failed")


def _counted(shop: Shop, before: dict[str, int]) -> str:
    """What became of the hour's events."""
    counts = {outcome: number - before.get(outcome, 0) for outcome, number in shop.outcomes().items()}
    return ", ".join(f"{number} {outcome}" for outcome, number in counts.items() if number)


def _compare(
    before: dict[str, list[str]], after: dict[str, list[str]], watched: dict[str, str], titles: dict[str, str]
) -> None:
    for id, what in watched.items():
        table = Table(title=f"{titles[id][:70]}\n{what[:90]}", title_justify="left", width=110)
        table.add_column("before", ratio=1)
        table.add_column("after the hour", ratio=1)
        for old, new in zip(before[id], after[id], strict=False):
            style = "" if new in before[id] else "bold green"
            table.add_row(_entry(old, titles, "red" if old not in after[id] else ""), _entry(new, titles, style))
        console.print(table)


def _entry(id: str, titles: dict[str, str], style: str) -> str:
    text = titles.get(id, id)[:46].replace("[", "\\[")
    return f"[{style}]{text}[/]" if style else text


def _buckets(shop: Shop) -> list[tuple[float, float]]:
    return [(float(labels["le"]), value) for labels, value in shop.samples("kinstream_freshness_seconds_bucket")]


def _freshness(before: list[tuple[float, float]], after: list[tuple[float, float]]) -> None:
    hour = [(bound, count - old) for (bound, count), (_, old) in zip(after, before, strict=True)]
    parts = [f"p{share * 100:g} {percentile(hour, share) * 1000:.0f} ms" for share in (0.5, 0.9, 0.99)]
    console.print(
        f"5. freshness, Kafka timestamp to readable in Redis, over the hour: {', '.join(parts)}", highlight=False
    )


def _say_how_to_go_on(shop: Shop) -> None:
    console.print("everything still runs; in another shell:")
    for name, value in shop.settings.items():
        console.print(f"  export {name}={value}", highlight=False, soft_wrap=True)
    console.print("  .venv/bin/kinstream neighbours e100", highlight=False)
    console.print(f"  redis-cli -p {shop.ports['redis']} zrevrange 'kin:g1:n:{{e100}}' 0 9 withscores", highlight=False)
    console.print("stop with:", highlight=False)
    console.print(
        f"  kill -TERM {shop.service_pid} && .venv/bin/python ops/local/servers.py down --root {shop.folder}",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    typer.run(main)
