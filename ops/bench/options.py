"""Options that several benchmarks have."""

from __future__ import annotations

from collections.abc import Collection

import typer


def chosen(only: str, known: Collection[str]) -> list[str]:
    """What the option ``--only`` names, with commas between.

    Raises:
        BadParameter: something that is not known.
    """
    names = only.split(",")
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"{', '.join(unknown)}: there are {', '.join(known)}", param_hint="--only")
    return names
