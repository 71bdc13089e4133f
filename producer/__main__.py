"""``python -m producer``: the producer's commands alone, for machines that only publish."""

from __future__ import annotations

import sys

import typer

from producer.commands import register
from producer.errors import ProducerError, ServerUnreachable


def main() -> None:
    """Run; exits with 0 done, 1 failed, 2 wrong usage, 3 a server cannot be reached. Errors are one line."""
    app = typer.Typer(
        help="Send products to kinstream.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    register(app)
    try:
        app()
    except ProducerError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3 if isinstance(error, ServerUnreachable) else 1)


if __name__ == "__main__":
    main()
