"""``python -m producer``: the producer's commands alone, for machines that only publish."""

from __future__ import annotations

import sys

import typer

from producer.commands import register
from producer.errors import ProducerError, ServerUnreachable

app = typer.Typer(help="Send products to kinstream.", no_args_is_help=True, add_completion=False)
register(app)


def main() -> None:
    """Run; errors are one line, and a server that cannot be reached is exit code 3."""
    try:
        app()
    except ProducerError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3 if isinstance(error, ServerUnreachable) else 1)


if __name__ == "__main__":
    main()
