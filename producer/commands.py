"""The commands ``publish`` and ``replay``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial as bound
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from producer.catalogue import Entry, read_catalogue
from producer.changes import Change, change_of
from producer.columns import ATTRIBUTE
from producer.events import BadEvent, Deletion, Product, encode_product, product_from
from producer.folding import FoldStore
from producer.kafka_config import client_config
from producer.product import checked_id
from producer.publisher import Publisher
from producer.replay import paced
from producer.sending import Event, Sending

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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, send nothing; needs no broker.")
    ] = False,
    map: Annotated[
        list[str] | None, typer.Option(help="FIELD=COLUMN, such as title=name or attributes.size=Size.")
    ] = None,
    attributes: Annotated[str, typer.Option(help="Columns that become attributes, with commas between.")] = "",
    partial: Annotated[
        bool,
        typer.Option(
            "--partial",
            help="Entries name only what changed (the first of an id, everything): fold them into full states.",
        ),
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
    _check_files(*files or [])
    mapping = dict(_pair(option) for option in map or [])
    columns = [name.strip() for name in attributes.split(",") if name.strip()]
    with ExitStack() as stack:
        send = _check if dry_run else _sender(stack, kafka, topic, kafka_config)
        fold = _fold(stack, state, dry_run) if partial or (delete and (state / STATE_FILE).exists()) else None
        sending = Sending(send, stderr, _progress(stack), rate)
        for file in files or []:
            for entry in read_catalogue(file, mapping, columns):
                sending.attempt(entry.place, bound(_event, fold if partial else None, entry))
        for id in delete or []:
            sending.attempt("--delete", bound(_deletion, fold, id))
    sending.finish("checked" if dry_run else "sent")


def replay(
    file: Annotated[
        Path, typer.Argument(help="Recorded changes {ts, op, id, …}, one a line; .gz too; - is standard input.")
    ],
    speed: Annotated[str, typer.Option(help="60 plays an hour in a minute; 0 or max does not wait.")] = "1",
    max_gap: Annotated[float, typer.Option(min=0, help="Skip what is longer than so many recorded seconds.")] = 3600,
    limit: Annotated[int, typer.Option(min=0, help="Stop after so many changes; 0 is no limit.")] = 0,
    state: State = Path("state"),
    kafka: Kafka = "127.0.0.1:9092",
    topic: Topic = "products",
    kafka_config: KafkaConfig = None,
) -> None:
    """Send recorded partial changes at their own pace, folded into full states.

    Example: kinstream replay events.jsonl.gz --speed 60

    The state folder remembers what earlier files said; name a new one to start from nothing.
    """
    _check_files(file)
    pace = _speed(speed)
    with ExitStack() as stack:
        send = _sender(stack, kafka, topic, kafka_config)
        fold = _fold(stack, state, False)
        sending = Sending(send, stderr, _progress(stack))
        entries = islice(read_catalogue(file, {}, []), limit or None)
        for change in paced(_changes(entries, sending), pace, max_gap):
            sending.attempt(change.place, bound(fold.apply, change))
    sending.finish("sent")


def _event(fold: FoldStore | None, entry: Entry) -> Event:
    return product_from(entry.fields(), None) if fold is None else fold.apply(change_of(entry))


def _deletion(fold: FoldStore | None, id: str) -> Event:
    if fold is not None:
        fold.delete(id)
    return Deletion(checked_id(id, None))


def _changes(entries: Iterator[Entry], sending: Sending) -> Iterator[Change]:
    for entry in entries:
        try:
            yield change_of(entry)
        except BadEvent as bad:
            sending.refuse(entry.place, bad)


def _check(event: Event) -> None:
    """What publishing would refuse."""
    if isinstance(event, Product):
        encode_product(event)


def _sender(stack: ExitStack, kafka: str, topic: str, kafka_config: Path | None) -> Callable[[Event], None]:
    publisher = stack.enter_context(Publisher(kafka, topic, client_config(kafka, kafka_config)))
    return lambda event: publisher.publish(event) if isinstance(event, Product) else publisher.delete(event.id)


def _fold(stack: ExitStack, state: Path, dry_run: bool) -> FoldStore:
    return stack.enter_context(FoldStore(state / STATE_FILE, keep=not dry_run))


def _progress(stack: ExitStack) -> Progress:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return stack.enter_context(Progress(*columns, console=stderr, disable=not stderr.is_terminal, transient=True))


def _check_files(*files: Path) -> None:
    for file in files:
        if str(file) != "-" and (file.is_dir() or not file.exists()):
            raise typer.BadParameter(f"{str(file)!r} is no file: name one, or - for standard input")


def _pair(option: str) -> tuple[str, str]:
    field, equals, column = option.partition("=")
    known = {*Product.__struct_fields__} - {"attributes"}
    if not equals or not column or (field not in known and not field.startswith(ATTRIBUTE)):
        raise typer.BadParameter(
            f"{option!r}: expected FIELD=COLUMN with FIELD of {', '.join(sorted(known))} or attributes.NAME"
        )
    return field, column


def _speed(text: str) -> float:
    try:
        speed = float("inf") if text == "max" else float(text)
    except ValueError:
        speed = math.nan
    if not speed >= 0:
        raise typer.BadParameter(f"--speed {text!r}: expected a number of at least 0, or max")
    return speed or math.inf
