"""librdkafka settings from a file: the way to TLS, SASL and everything else that a cluster asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from producer.errors import ProducerError

QUIET = {"log_level": "2", "reconnect.backoff.ms": "250"}
"""librdkafka writes a line for every failed connection; what matters of that comes back as an error anyway."""
SECRETS = ("password", "secret", "key.pem", "token", "oauthbearer.config", "jaas")


def client_config(bootstrap: str, file: Path | None) -> dict[str, str]:
    """What every client starts from: the address, and what the operator's file adds or overrides."""
    return {**QUIET, "bootstrap.servers": bootstrap, **(read_config_file(file) if file else {})}


def read_config_file(file: Path) -> dict[str, str]:
    """Lines of ``name=value``; empty lines and lines that start with # are skipped.

    Raises:
        ProducerError: the file cannot be read, or a line is not of that form; its value is not shown.
    """
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        raise ProducerError(f"KINSTREAM_KAFKA_CONFIG={str(file)!r} cannot be read: {error.strerror}") from error
    config: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise ProducerError(f"{file}:{number}: not of the form name=value, such as security.protocol=SASL_SSL")
        config[name.strip()] = value.strip()
    return config


def masked(config: Mapping[str, str]) -> dict[str, str]:
    """The settings fit for display: secrets hidden."""
    return {name: "***" if any(word in name for word in SECRETS) else value for name, value in config.items()}
