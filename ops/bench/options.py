"""Options that several benchmarks have, and how they say what is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from model.errors import ModelError
from producer.errors import ProducerError


def chosen(only: str, known: Collection[str]) -> list[str]:
    """What the option ``--only`` names, with commas between.

    Raises:
        BadParameter: something that is not known.
    """
    names = only.split(",")
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"{', '.join(unknown)}: there are {', '.join(known)}", param_hint="--only")
    return names


@contextmanager
def told_errors(told: Console) -> Iterator[None]:
    """Errors of data, weights and trainings as one line, and exit code 1."""
    try:
        yield
    except (ModelError, ProducerError) as error:
        told.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
