"""What commands write: results on standard output, everything else on standard error."""

# ruff: noqa: PLC0415 - what is heavy is imported by who needs it

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer


def note(text: str) -> None:
    """A line for people beside the result."""
    typer.echo(f"kinstream: {text}", err=True)


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """The result for machines, on one line."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The result for people; columns whose name ends in a blank are numbers, set to the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column.strip(), justify="right" if column.endswith(" ") else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(markup=False, emoji=False, highlight=False).print(table)
