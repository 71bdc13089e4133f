"""The options that commands share. Each overrides the setting of its name; what is left out comes from KINSTREAM_*."""

# ruff: noqa: PLC0415 - what is heavy is imported by who needs it

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from consumer.config import Settings

Kafka = Annotated[
    str | None,
    typer.Option(help="Brokers, host:port with commas between (KINSTREAM_KAFKA)."),
]
KafkaConfig = Annotated[
    Path | None,
    typer.Option(help="File of librdkafka settings (KINSTREAM_KAFKA_CONFIG)."),
]
Topic = Annotated[str | None, typer.Option(help="Topic of the products (KINSTREAM_TOPIC).")]
Group = Annotated[
    str | None,
    typer.Option(help="Group that keeps the offsets (KINSTREAM_GROUP)."),
]
Redis = Annotated[
    str | None,
    typer.Option(help="Redis, such as redis://127.0.0.1:6379/0 (KINSTREAM_REDIS)."),
]
Generation = Annotated[
    str | None,
    typer.Option(help="Generation of the service (KINSTREAM_GENERATION)."),
]
Model = Annotated[
    str | None,
    typer.Option(help="Folder of a model bundle, or none (KINSTREAM_MODEL)."),
]
Dim = Annotated[
    int | None,
    typer.Option(help="Dimensions of the events' embeddings, without a model (KINSTREAM_DIM)."),
]
Device = Annotated[
    str | None,
    typer.Option(help="What encodes: auto, cpu or cuda (KINSTREAM_DEVICE)."),
]
Index = Annotated[str | None, typer.Option(help="Index: hnsw or exact (KINSTREAM_INDEX).")]
ListLength = Annotated[
    int | None,
    typer.Option("--k", help="Length of the published lists (KINSTREAM_K)."),
]
Slack = Annotated[
    int | None,
    typer.Option(help="Entries kept beyond k, so that deletes need no search (KINSTREAM_SLACK)."),
]
FactAttributes = Annotated[
    str | None,
    typer.Option(help="Attributes that are not embedded, with commas between (KINSTREAM_FACT_ATTRIBUTES)."),
]
ImageRoot = Annotated[
    Path | None,
    typer.Option(help="Folder that image paths start from (KINSTREAM_IMAGE_ROOT)."),
]
State = Annotated[
    Path | None,
    typer.Option(help="Folder for snapshots (KINSTREAM_STATE)."),
]
SnapshotSeconds = Annotated[
    float | None,
    typer.Option(help="Seconds between two snapshots, 0 = only at a clean stop (KINSTREAM_SNAPSHOT_SECONDS)."),
]
Batch = Annotated[int | None, typer.Option(help="Most events in a batch (KINSTREAM_BATCH).")]
LingerMs = Annotated[
    float | None,
    typer.Option(help="Milliseconds that a batch waits for more events (KINSTREAM_LINGER_MS)."),
]
MetricsHost = Annotated[
    str | None,
    typer.Option(help="Address that the service's HTTP side listens on (KINSTREAM_METRICS_HOST)."),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(help="Port of the service's HTTP side, 0 = off (KINSTREAM_METRICS_PORT)."),
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
