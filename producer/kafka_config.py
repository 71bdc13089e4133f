"""librdkafka settings from a file: the way to TLS, SASL and everything else that a cluster asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from producer.errors import ProducerError

QUIET = {"log_level": "2", "reconnect.backoff.ms": "250"}
"""librdkafka writes a line for every failed connection; what matters of that comes back as an error anyway."""
SECRETS = ("password", "passphrase", "secret", "key.pem", "token", "oauthbearer.config", "jaas")


def client_config(bootstrap: str, file: Path | None) -> dict[str, str]:
    """What every client starts from: the address, and what the operator's file adds or overrides."""
    return {**QUIET, "bootstrap.servers": bootstrap, **(read_config_file(file) if file else {})}


def read_config_file(file: Path) -> dict[str, str]:
    """Lines of ``name=value``; empty lines and lines that start with # are skipped.

    Raises:
        ProducerError: the file cannot be read, or a line is not of that form; its value is not shown.
    """
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ProducerError(
            f"KINSTREAM_KAFKA_CONFIG={str(file)!r} cannot be read ({error}): name a text file of librdkafka settings"
        ) from error
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    return dict(_setting(file, number, line) for number, line in numbered if line and not line.startswith("#"))


def masked(config: Mapping[str, str]) -> dict[str, str]:
    """The settings fit for display: secrets hidden."""
    return {name: "***" if any(word in name for word in SECRETS) else value for name, value in config.items()}


def _setting(file: Path, number: int, line: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not equals or not name.strip():
        raise ProducerError(f"{file}:{number}: not of the form name=value, such as security.protocol=SASL_SSL")
    return name.strip(), value.strip()
