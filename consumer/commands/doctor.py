"""``doctor``: is everything there that the service needs?"""

# ruff: noqa: PLC0415 - what is heavy is imported by the command that needs it

from __future__ import annotations

import typer

from consumer.commands import options
from consumer.commands.output import print_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    context: typer.Context,
    *,
    kafka: options.Kafka = None,
    kafka_config: options.KafkaConfig = None,
    topic: options.Topic = None,
    redis: options.Redis = None,
    model: options.Model = None,
    dim: options.Dim = None,
    device: options.Device = None,
    state: options.State = None,
) -> None:
    """Check brokers, topics, Redis, model and state folder, and say what to do about each fault.

    Ends with 0 when all is good, warnings allowed, 1 when a check failed, 3 when a server cannot be reached.

    Example: kinstream doctor --kafka broker-1:9092
    """
    settings = options.settings_of(context)
    from consumer.commands.check_kafka import check_kafka
    from consumer.commands.check_machine import check_machine
    from consumer.commands.check_redis import check_redis
    from consumer.commands.findings import exit_code_of

    findings = [*check_kafka(settings), *check_redis(settings), *check_machine(settings)]
    rows = [[each.check, each.state.value, each.detail, each.remedy] for each in findings]
    print_table("kinstream doctor", ("check", "state", "found", "what to do"), rows)
    raise typer.Exit(exit_code_of(findings))
