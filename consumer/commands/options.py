"""The options that commands share. Each overrides the setting of its name; what is left out comes from KINSTREAM_*."""

# ruff: noqa: PLC0415 - what is heavy is imported by who needs it

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from consumer.config import Settings

SERVERS = "Servers and topics"
ENGINE = "Model and index"
SERVICE = "Service"

Kafka = Annotated[
    str | None,
    typer.Option(help="Brokers, host:port with commas between (KINSTREAM_KAFKA).", rich_help_panel=SERVERS),
]
KafkaConfig = Annotated[
    Path | None,
    typer.Option(help="File of librdkafka settings (KINSTREAM_KAFKA_CONFIG).", rich_help_panel=SERVERS),
]
Topic = Annotated[str | None, typer.Option(help="Topic of the products (KINSTREAM_TOPIC).", rich_help_panel=SERVERS)]
Group = Annotated[
    str | None,
    typer.Option(help="Group that keeps the offsets (KINSTREAM_GROUP).", rich_help_panel=SERVERS),
]
Redis = Annotated[
    str | None,
    typer.Option(help="Redis, such as redis://127.0.0.1:6379/0 (KINSTREAM_REDIS).", rich_help_panel=SERVERS),
]
Generation = Annotated[
    str | None,
    typer.Option(help="Generation of the service (KINSTREAM_GENERATION).", rich_help_panel=ENGINE),
]
Model = Annotated[
    str | None,
    typer.Option(help="Folder of a model bundle, or none (KINSTREAM_MODEL).", rich_help_panel=ENGINE),
]
Dim = Annotated[
    int | None,
    typer.Option(help="Dimensions of the events' embeddings, without a model (KINSTREAM_DIM).", rich_help_panel=ENGINE),
]
Device = Annotated[
    str | None,
    typer.Option(help="What encodes: auto, cpu or cuda (KINSTREAM_DEVICE).", rich_help_panel=ENGINE),
]
Index = Annotated[str | None, typer.Option(help="Index: hnsw or exact (KINSTREAM_INDEX).", rich_help_panel=ENGINE)]
ListLength = Annotated[
    int | None,
    typer.Option("--k", help="Length of the published lists (KINSTREAM_K).", rich_help_panel=ENGINE),
]
Slack = Annotated[
    int | None,
    typer.Option(
        help="Entries kept beyond k, so that deletes need no search (KINSTREAM_SLACK).", rich_help_panel=ENGINE
    ),
]
FactAttributes = Annotated[
    str | None,
    typer.Option(
        help="Attributes that are not embedded, with commas between (KINSTREAM_FACT_ATTRIBUTES).",
        rich_help_panel=ENGINE,
    ),
]
ImageRoot = Annotated[
    Path | None,
    typer.Option(help="Folder that image paths start from (KINSTREAM_IMAGE_ROOT).", rich_help_panel=ENGINE),
]
State = Annotated[
    Path | None,
    typer.Option(help="Folder for what a stop leaves behind (KINSTREAM_STATE).", rich_help_panel=SERVICE),
]
Batch = Annotated[int | None, typer.Option(help="Most events in a batch (KINSTREAM_BATCH).", rich_help_panel=SERVICE)]
LingerMs = Annotated[
    float | None,
    typer.Option(
        help="Milliseconds that a batch waits for more events (KINSTREAM_LINGER_MS).", rich_help_panel=SERVICE
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(help="Port of the service's HTTP side, 0 = off (KINSTREAM_METRICS_PORT).", rich_help_panel=SERVICE),
]

Count = Annotated[int, typer.Option("-k", min=1, max=1000, help="How many products.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for machines.")]


def settings_of(context: typer.Context) -> Settings:
    """The settings, overridden by the options of a command.

    Raises:
        SettingsError: a setting or option is wrong.
    """
    from consumer.config import Settings, load_settings

    given = {name: value for name, value in context.params.items() if name in Settings.model_fields}
    return load_settings(**given)
