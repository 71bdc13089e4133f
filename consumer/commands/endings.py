"""How commands end: every error is one line on standard error and an exit code."""

# ruff: noqa: PLC0415 - what is heavy is imported by who needs it

from __future__ import annotations

import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from consumer.errors import KinstreamError, ServerUnavailable
from producer.errors import ProducerError, ServerUnreachable

FAILED, WRONG_USAGE, UNREACHABLE = 1, 2, 3


class OneLineErrors(TyperGroup):
    """The root command."""

    def main(self, *arguments: Any, **options: Any) -> NoReturn:
        """Run the command that was asked for, and exit."""
        try:
            code = super().main(*arguments, **options | {"standalone_mode": False})
        except Exception as error:
            typer.echo(f"kinstream: {' '.join(message(error).split())}", err=True)
            code = exit_code(error)
        sys.exit(code)


def message(error: Exception) -> str:
    """What the person at the terminal is told."""
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        hint = f" See {context.command_path} --help" if context is not None else ""
        return f"{error.format_message()}{hint}"
    if isinstance(error, KinstreamError | ProducerError):
        return str(error)
    if isinstance(error, typer.Abort):
        return "aborted"
    return f"unexpected {type(error).__name__}: {error}"


def exit_code(error: Exception) -> int:
    """0 done, 1 failed, 2 wrong usage, 3 a server cannot be reached."""
    from consumer.config import SettingsError

    if isinstance(error, SettingsError | typer.TyperException):
        return WRONG_USAGE
    return UNREACHABLE if isinstance(error, ServerUnavailable | ServerUnreachable) else FAILED
