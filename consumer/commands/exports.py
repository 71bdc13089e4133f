"""``dump`` and ``verify``: the vectors, and the exact check of the lists against them."""

# ruff: noqa: PLC0415 - what is heavy is imported by the command that needs it

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumer.commands import options
from consumer.commands.output import note, print_json, print_table
from consumer.errors import KinstreamError
from producer.progress import progress

if TYPE_CHECKING:
    from consumer.types import Export
    from consumer.verification import Verification

KEYS = ("recall", "ghosts", "missing", "orphans", "score_error", "checked")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(dump)
    app.command()(verify)


def dump(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The .npz file to write.", show_default=False)],
    generation: options.Generation = None,
    state: options.State = None,
    metrics_port: options.MetricsPort = None,
) -> None:
    """Export ids, vectors and availability of the running service, else of its newest snapshot.

    The arrays are ids (str), vectors (float32, n x dim, normalised), available (bool), and manifest (JSON).

    Example: kinstream dump products.npz
    """
    from consumer.client import find_export

    export = find_export(options.settings_of(context), note)
    try:
        _write(file, export)
    except OSError as error:
        raise KinstreamError(f"cannot write {file} ({error.strerror}): name a file in a writable folder") from error
    note(f"wrote {len(export.ids)} products of generation {export.generation.name} to {file}")


def verify(
    context: typer.Context,
    sample: Annotated[int | None, typer.Option(min=1, help="Check this many lists, drawn at random.")] = None,
    as_json: options.Json = False,
    redis: options.Redis = None,
    generation: options.Generation = None,
    state: options.State = None,
    metrics_port: options.MetricsPort = None,
) -> None:
    """Recompute exact lists from the exported vectors and compare them with Redis.

    Meant for a quiet stream: what changes between export and reading counts as wrong. Ends with 1 when the recall is
    below 0.995 or a list names a product that is deleted or unavailable.

    Example: kinstream verify --sample 1000 --json
    """
    from consumer import verification
    from consumer.client import find_export
    from consumer.generations import StoredGeneration

    settings = options.settings_of(context)
    export = find_export(settings, note)
    stored = StoredGeneration(settings.redis, export.generation.name)
    with progress("comparing lists") as update:
        result = verification.verify(export, stored.fetch, stored.ids(), sample, progress=update)
    _show(result, export.generation.name, as_json)
    if not result.passed:
        raise typer.Exit(1)


def _write(file: Path, export: Export) -> None:
    """Complete or absent: written beside its name, then renamed."""
    from consumer.export import write_export

    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as out:
            write_export(out, export)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _show(result: Verification, generation: str, as_json: bool) -> None:
    if as_json:
        print_json({key: getattr(result, key) for key in KEYS})
        return
    values = {
        "recall": f"{result.recall:.5f}",
        "wrong or missing members": str(result.lost),
        "ghosts (deleted or unavailable members)": str(result.ghosts),
        "missing lists or cards": str(result.missing),
        "orphan lists or cards": str(result.orphans),
        "worst score error": f"{result.score_error:.2e}",
        "lists checked": str(result.checked),
    }
    verdict = "right" if result.passed else "WRONG"
    print_table(f"Generation {generation} is {verdict}", ("check", "value "), [list(row) for row in values.items()])
    for finding in result.findings:
        note(finding)
