"""The command ``kinstream``."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from consumer.commands import doctor, exports, lists, promotion, service
from consumer.commands.endings import OneLineErrors
from model import commands as model_commands
from producer import commands as producer_commands


def main() -> None:
    """Run the command line; exits with 0 done, 1 failed, 2 wrong usage, 3 a server cannot be reached."""
    build_app()()


def build_app() -> typer.Typer:
    """The root command with all of its commands."""
    app = typer.Typer(
        name="kinstream",
        cls=OneLineErrors,
        invoke_without_command=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(root)
    for group in (service, producer_commands, lists, exports, promotion, doctor, model_commands):
        group.register(app)
    return app


def show_version(asked: bool) -> None:
    """Print the version and stop."""
    if asked:
        typer.echo(f"kinstream {version('kinstream')}")
        raise typer.Exit


def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Keep every product's list of nearest products right, all the time.

    Settings come from KINSTREAM_* in the environment; a command's options win. Start with: kinstream doctor
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


if __name__ == "__main__":
    main()
