"""The operator's file of librdkafka settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from producer.errors import ProducerError
from producer.kafka_config import client_config, masked, read_config_file

TEXT = """\
# our cluster
security.protocol = SASL_SSL

sasl.username=shop
sasl.password=a=b#c
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "kafka.properties"
    file.write_text(TEXT)
    return file


def test_settings_are_read(file: Path) -> None:
    assert read_config_file(file) == {
        "security.protocol": "SASL_SSL",
        "sasl.username": "shop",
        "sasl.password": "a=b#c",
    }


def test_the_file_wins_over_the_address(file: Path) -> None:
    file.write_text("bootstrap.servers=b:9092")

    assert client_config("a:9092", None)["bootstrap.servers"] == "a:9092"
    assert client_config("a:9092", file)["bootstrap.servers"] == "b:9092"


@pytest.mark.parametrize("line", ["sasl.password hunter2", "=hunter2", " = hunter2"])
def test_a_bad_line_is_named_and_its_value_is_not_shown(file: Path, line: str) -> None:
    file.write_text(f"{TEXT}{line}\n")

    with pytest.raises(ProducerError, match=r"kafka\.properties:6: not of the form name=value") as error:
        read_config_file(file)
    assert "hunter2" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProducerError, match=r"KINSTREAM_KAFKA_CONFIG='.*none' cannot be read"):
        read_config_file(tmp_path / "none")
    (tmp_path / "keystore").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProducerError, match=r"KINSTREAM_KAFKA_CONFIG='.*keystore' cannot be read"):
        read_config_file(tmp_path / "keystore")


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.keystore.password",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.assertion.private.key.passphrase",
    ],
)
def test_secrets_are_masked(name: str) -> None:
    assert masked({name: "hunter2", "sasl.username": "shop"}) == {name: "***", "sasl.username": "shop"}
