"""The commands ``publish`` and ``replay``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from producer.catalogue import Entry, read_catalogue
from producer.events import BadEvent, Product, product_from
from producer.folding import FoldStore
from producer.kafka_config import client_config
from producer.publisher import Publisher
from producer.replay import BadChange, Change, change_of, paced

STATE_FILE = "folded.sqlite"

Kafka = Annotated[str, typer.Option(envvar="KINSTREAM_KAFKA", help="Kafka as host:port, several with commas.")]
Topic = Annotated[str, typer.Option(envvar="KINSTREAM_TOPIC", help="Topic of the products.")]
KafkaConfig = Annotated[
    Path | None,
    typer.Option(envvar="KINSTREAM_KAFKA_CONFIG", help="File of librdkafka settings, such as TLS and SASL."),
]
State = Annotated[
    Path, typer.Option(envvar="KINSTREAM_STATE", help="Folder that remembers the products of partial changes.")
]

stderr = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the commands to an app."""
    app.command()(publish)
    app.command()(replay)


def publish(
    files: Annotated[
        list[Path] | None, typer.Argument(help="JSON Lines, a JSON array or CSV, .gz too; - is standard input.")
    ] = None,
    delete: Annotated[list[str] | None, typer.Option(help="Delete the product with this id; may be repeated.")] = None,
    rate: Annotated[float, typer.Option(min=0, help="At most so many products per second; 0 is no limit.")] = 0,
    dry_run: Annotated[bool, typer.Option(help="Check everything, send nothing; needs no broker.")] = False,
    map: Annotated[
        list[str] | None, typer.Option(help="FIELD=COLUMN, such as title=name or attributes.size=Size.")
    ] = None,
    attributes: Annotated[str, typer.Option(help="Columns that become attributes, with commas between.")] = "",
    partial: Annotated[
        bool, typer.Option(help="Entries name only what changed: fold them into the last full state.")
    ] = False,
    state: State = Path("state"),
    kafka: Kafka = "127.0.0.1:9092",
    topic: Topic = "products",
    kafka_config: KafkaConfig = None,
) -> None:
    """Send products to Kafka.

    Example: kinstream publish catalogue.csv --map title=name --map attributes.size=Size

    Refused entries are named by file and line, the rest is sent, and the exit code is 1.
    """
    if not files and not delete:
        raise typer.BadParameter("give a FILE, - for standard input, or --delete ID")
    mapping = dict(_pair(option) for option in map or [])
    columns = [name.strip() for name in attributes.split(",") if name.strip()]
    with ExitStack() as stack:
        send = _sender(stack, dry_run, kafka, topic, kafka_config)
        fold = stack.enter_context(FoldStore(state / STATE_FILE)) if partial else None
        sending = _Sending(send, _progress(stack), rate)
        for id in delete or []:
            sending.delete(id, fold)
        for file in files or []:
            for entry in read_catalogue(file, mapping, columns):
                sending.product(entry, fold)
    sending.finish("checked" if dry_run else "sent")


def replay(
    file: Annotated[Path, typer.Argument(help="Recorded events {ts, op, id, …}, one a line; .gz too.")],
    speed: Annotated[str, typer.Option(help="60 plays an hour in a minute; max does not wait.")] = "1",
    max_gap: Annotated[float, typer.Option(min=0, help="Skip what is longer than so many recorded seconds.")] = 3600,
    limit: Annotated[int, typer.Option(min=0, help="Stop after so many events; 0 is no limit.")] = 0,
    state: State = Path("state"),
    kafka: Kafka = "127.0.0.1:9092",
    topic: Topic = "products",
    kafka_config: KafkaConfig = None,
) -> None:
    """Send a recorded stream of partial changes at its own pace, folded into full states.

    Example: kinstream replay events.jsonl.gz --speed 60
    """
    pace = _speed(speed)
    with ExitStack() as stack:
        send = _sender(stack, False, kafka, topic, kafka_config)
        fold = stack.enter_context(FoldStore(state / STATE_FILE))
        sending = _Sending(send, _progress(stack), 0)
        for change in paced(_changes(file, limit, sending.refuse), pace, max_gap):
            sending.change(change, fold)
    sending.finish("sent")


class _Sending:
    """Sends entries, counts them, and tells which were refused."""

    def __init__(self, send: Callable[[str, Product | None], None], progress: Progress, rate: float) -> None:
        self._send = send
        self._progress = progress
        self._task = progress.add_task("products", total=None)
        self._rate = rate
        self._started = time.monotonic()
        self._sent = self._refused = 0

    def product(self, entry: Entry, fold: FoldStore | None) -> None:
        if entry.fields is None:
            self.refuse(f"{entry.file}:{entry.line}", entry.error or "not readable")
            return
        try:
            product = self._folded(entry, fold) if fold else product_from(entry.fields, None)
        except BadEvent as bad:
            self.refuse(f"{entry.file}:{entry.line}", f"{bad.reason}: {bad}")
            return
        self._count(product.id, product)

    def delete(self, id: str, fold: FoldStore | None) -> None:
        if fold is not None:
            fold.delete(id)
        self._count(id, None)

    def change(self, change: Change, fold: FoldStore) -> None:
        if change.op == "delete":
            self.delete(change.id, fold)
            return
        try:
            self._count(change.id, fold.upsert(change.id, change.fields))
        except BadEvent as bad:
            self.refuse(f"event of {change.id}", f"{bad.reason}: {bad}")

    def refuse(self, where: str, reason: str) -> None:
        self._refused += 1
        stderr.print(f"{where}: {reason}", style="red", highlight=False, markup=False, soft_wrap=True)

    def finish(self, verb: str) -> None:
        stderr.print(f"{self._sent} {verb}, {self._refused} refused", highlight=False)
        if self._refused:
            raise typer.Exit(1)

    def _folded(self, entry: Entry, fold: FoldStore) -> Product:
        fields = entry.fields or {}
        id = fields.get("id")
        if not isinstance(id, str):
            raise BadEvent("InvalidProduct", f"id={id!r} is not allowed: send a string")
        return fold.upsert(id, fields)

    def _count(self, id: str, product: Product | None) -> None:
        self._wait()
        self._send(id, product)
        self._sent += 1
        self._progress.advance(self._task)

    def _wait(self) -> None:
        early = self._started + self._sent / self._rate - time.monotonic() if self._rate else 0.0
        if early > 0:
            time.sleep(early)


def _sender(
    stack: ExitStack, dry_run: bool, kafka: str, topic: str, kafka_config: Path | None
) -> Callable[[str, Product | None], None]:
    if dry_run:
        return lambda _, product: None
    config = client_config(kafka, kafka_config)
    publisher = stack.enter_context(Publisher(kafka, topic, config))
    return lambda id, product: publisher.delete(id) if product is None else publisher.publish(product)


def _progress(stack: ExitStack) -> Progress:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return stack.enter_context(Progress(*columns, console=stderr, disable=not stderr.is_terminal, transient=True))


def _changes(file: Path, limit: int, refuse: Callable[[str, str], None]) -> Iterator[Change]:
    for number, entry in enumerate(read_catalogue(file, {}, [])):
        if limit and number >= limit:
            return
        try:
            yield change_of(entry)
        except BadChange as bad:
            refuse(f"{entry.file}:{entry.line}", str(bad))


def _pair(option: str) -> tuple[str, str]:
    field, equals, column = option.partition("=")
    known = {*Product.__struct_fields__} - {"attributes"}
    if not equals or not column or (field not in known and not field.startswith("attributes.")):
        raise typer.BadParameter(
            f"{option!r}: expected FIELD=COLUMN with FIELD of {', '.join(sorted(known))} or attributes.NAME"
        )
    return field, column


def _speed(text: str) -> float:
    try:
        speed = float("inf") if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if speed <= 0:
        raise typer.BadParameter(f"--speed {text!r}: expected a number above 0, or max")
    return speed
