"""Settings, typed at the edge. Only the commands build one; nothing else reads the environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from consumer.errors import KinstreamError
from consumer.types import Metric

PREFIX = "KINSTREAM_"


class SettingsError(KinstreamError):
    """A setting is wrong: one line naming the setting, its value and what would be right. Exit code 2."""


class Settings(BaseSettings):
    """The settings of docs/contract.md, read from ``KINSTREAM_*``; keyword arguments win."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, hide_input_in_errors=True)

    kafka: str = Field("127.0.0.1:9092", pattern=r"^[^\s,]+:\d+(,[^\s,]+:\d+)*$")
    kafka_config: Path | None = None
    topic: str = Field("products", pattern=r"^[A-Za-z0-9._-]{1,240}$")
    group: str = Field("kinstream", min_length=1)
    redis: str = Field("redis://127.0.0.1:6379/0", pattern=r"^(rediss?|unix)://", repr=False)
    generation: str = Field("g1", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    model: str = "none"
    dim: int | None = Field(None, ge=1, le=65536)
    state: Path = Path("state")
    snapshot_seconds: float = Field(300, ge=0, le=86_400)
    k: int = Field(10, ge=1, le=1000)
    slack: int = Field(20, ge=0, le=1000)
    metric: Metric = "cosine"
    audit_share: float = Field(0.02, ge=0, le=0.5)
    batch: int = Field(256, ge=1, le=100_000)
    linger_ms: float = Field(5, ge=0, le=60_000)
    metrics_host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9.:_-]{1,253}$")
    metrics_port: int = Field(9464, ge=0, le=65535)
    fact_attributes: Annotated[frozenset[str], NoDecode] = frozenset()
    image_root: Path | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    index: Literal["hnsw", "exact"] = "hnsw"

    @field_validator("fact_attributes", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


def load_settings(**options: Any) -> Settings:
    """Settings from the environment, overridden by the options that are not None.

    Raises:
        SettingsError: names the first wrong setting.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except pydantic.ValidationError as error:
        raise SettingsError(_first(error)) from None


EXPECTED = {
    "kafka": "expected host:port, or several with commas between",
    "topic": "expected letters, digits, dots, dashes and underscores",
    "metrics_host": "expected an address or name of this machine, such as 127.0.0.1, 0.0.0.0 or ::",
    "redis": "expected redis://host:port/database, rediss://… or unix://…",
    "generation": "expected letters, digits, dots, dashes and underscores, at most 64",
}
SECRET_PARAMETER = re.compile(r"(?i)(?<=password=)[^&\s]*")


def masked(url: str) -> str:
    """The URL with user, password and secret parameters hidden, fit for logs and errors."""
    scheme, mark, rest = url.partition("://")
    credentials, at, place = (rest if mark else url).rpartition("@")
    shown = f":***@{place}" if at or credentials else place
    return SECRET_PARAMETER.sub("***", f"{scheme}{mark}{shown}" if mark else shown)


def _first(error: pydantic.ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    name = str(first["loc"][0])
    expected = EXPECTED.get(name, str(first["msg"]).replace("Input should be", "it should be"))
    return f"{PREFIX}{name.upper()}={masked(str(first['input']))!r} is not valid: {expected}"
