"""``generations`` and ``promote``: which sets of lists there are, and which one readers use."""

# ruff: noqa: PLC0415 - what is heavy is imported by the command that needs it

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from consumer.commands import options
from consumer.commands.output import note, print_json, print_table

COLUMNS = ("generation", "state", "model", "dim ", "k ", "products ", "created (UTC)")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(generations)
    app.command()(promote)


def generations(context: typer.Context, as_json: options.Json = False, redis: options.Redis = None) -> None:
    """List the generations; readers use the live one.

    Example: kinstream generations --json
    """
    import msgspec

    from consumer.generations import Generations

    server = Generations(options.settings_of(context).redis)
    found = server.all()
    if as_json:
        print_json({"live": server.live(), "generations": [msgspec.to_builtins(each) for each in found]})
        return
    rows = [
        [each.name, each.state, each.model, str(each.dim), str(each.k), str(each.products), _day(each.created_at)]
        for each in found
    ]
    print_table("Generations", COLUMNS, rows)


def promote(
    context: typer.Context,
    generation: Annotated[str, typer.Argument(help="Name of the generation.", show_default=False)],
    redis: options.Redis = None,
) -> None:
    """Switch all readers to a generation; undo it by promoting the old one.

    Example: kinstream promote g2
    """
    from consumer.generations import Generations

    old = Generations(options.settings_of(context).redis).promote(generation)
    undo = f"; undo: kinstream promote {old}" if old not in (None, generation) else ""
    note(f"readers now use generation {generation}{undo}")


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
