"""How far long work is, for people who look at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Shown: TypeAlias = Callable[[int, int], None]
"""Takes how many are done, and of how many."""


def silent(done: int, total: int) -> None:
    """Show nothing."""


@contextmanager
def progress(label: str) -> Iterator[Shown]:
    """A bar on standard error while it is a terminal."""
    from rich.console import Console  # noqa: PLC0415  # only for commands that show one
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
