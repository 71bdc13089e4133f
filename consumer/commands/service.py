"""``run``: the service."""

# ruff: noqa: PLC0415 - what is heavy is imported by the command that needs it

from __future__ import annotations

from typing import Annotated

import typer

from consumer.commands import options
from consumer.errors import KinstreamError
from producer.errors import ProducerError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    context: typer.Context,
    *,
    kafka: options.Kafka = None,
    kafka_config: options.KafkaConfig = None,
    topic: options.Topic = None,
    group: options.Group = None,
    redis: options.Redis = None,
    generation: options.Generation = None,
    model: options.Model = None,
    dim: options.Dim = None,
    device: options.Device = None,
    index: options.Index = None,
    k: options.ListLength = None,
    slack: options.Slack = None,
    fact_attributes: options.FactAttributes = None,
    image_root: options.ImageRoot = None,
    state: options.State = None,
    snapshot_seconds: options.SnapshotSeconds = None,
    batch: options.Batch = None,
    linger_ms: options.LingerMs = None,
    metrics_host: options.MetricsHost = None,
    metrics_port: options.MetricsPort = None,
    bootstrap: Annotated[
        bool,
        typer.Option("--bootstrap", help="Read the whole topic, and delete the products that it no longer holds."),
    ] = False,
) -> None:
    """Keep every product's list right: Kafka -> encoder -> index -> Redis, until SIGTERM or SIGINT.

    It then finishes its batch, writes a snapshot, and exits with 0.

    Example: kinstream run --model models/default --state /var/lib/kinstream
    """
    settings = options.settings_of(context)
    import structlog

    from consumer.app import run as serve
    from consumer.commands.logs import configure_logs

    configure_logs()
    try:
        serve(settings, bootstrap=bootstrap)
    except (KinstreamError, ProducerError):
        raise
    except Exception as error:
        structlog.get_logger(__name__).error("the service ended by an unexpected error", exc_info=error)
        raise
