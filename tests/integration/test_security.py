"""The service among servers that ask who is there: TLS, passwords, and no right more than the documents name."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not in its __all__
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from consumer.reader import NeighbourReader
from producer.topics import DEAD_LETTERS, PRODUCTS, ensure_topics

if TYPE_CHECKING:
    from conftest import SecureKafka, SecureRedis

pytestmark = pytest.mark.servers

KINSTREAM = [sys.executable, "-m", "consumer"]
SECRET = "open-sesame"
RIGHTS = re.compile(r"^\$acls --allow-principal User:(\w+) (.*?)--(topic|group) (\S+)$", re.MULTILINE)


class Shell:
    """Commands with settings of their own; everything that they ever wrote is kept in ``said``."""

    def __init__(self, settings: dict[str, str], log: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KINSTREAM_")}
        self.environment = {**kept, **{f"KINSTREAM_{name}": value for name, value in settings.items()}}
        self.said = ""
        self._log = log

    def __call__(self, *arguments: str, text: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **{f"KINSTREAM_{name}": value for name, value in settings.items()}}
        command = [*KINSTREAM, *arguments]
        done = subprocess.run(
            command, env=environment, input=text, capture_output=True, text=True, timeout=90, check=False
        )
        self.said += done.stdout + done.stderr
        return done

    def service(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen([*KINSTREAM, "run"], env=self.environment, stdout=log, stderr=log)

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.environment['KINSTREAM_METRICS_PORT']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""


def wait(condition: Callable[[], bool], process: subprocess.Popen[bytes], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, told()
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


def kafka_file(folder: Path, ca: Path, user: str, password: str) -> Path:
    file = folder / f"{user}.properties"
    settings = {
        "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "ssl.ca.location": ca,
        "sasl.username": user, "sasl.password": password,
    }  # fmt: skip
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return file


def documented_rights(document: str, names: dict[str, str]) -> Iterator[AclBinding]:
    """What the document has people grant; ``names`` are ours for its topics, groups and users."""
    for user, operations, kind, name in RIGHTS.findall(document):
        for operation in re.findall(r"--operation (\w+)", operations):
            yield AclBinding(
                ResourceType[kind.upper()],
                names[name],
                ResourcePatternType.LITERAL,
                f"User:{user}",
                "*",
                AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()],
                AclPermissionType.ALLOW,
            )


@pytest.fixture
def shell(
    secure_kafka: SecureKafka, secure_redis: SecureRedis, authority: Path, topic: str, tmp_path: Path, free_port: int,
    repo_root: Path,
) -> Shell:  # fmt: skip
    """The documented users with the documented rights; the topics are made by the administrator."""
    ensure_topics({"bootstrap.servers": secure_kafka.open_address}, {topic: PRODUCTS, f"{topic}.dlq": DEAD_LETTERS})
    for user in ("kinstream", "shop"):
        secure_kafka.add_user(user, SECRET)
    names = {"products": topic, "products.dlq": f"{topic}.dlq", "kinstream": topic}
    secure_kafka.allow(*documented_rights((repo_root / "docs" / "operations.md").read_text(), names))
    settings = {
        "KAFKA": secure_kafka.address, "REDIS": secure_redis.url("kinstream"), "TOPIC": topic, "GROUP": topic,
        "KAFKA_CONFIG": str(kafka_file(tmp_path, authority / "ca.pem", "kinstream", SECRET)),
        "MODEL": "none", "DIM": "2", "STATE": str(tmp_path / "state"), "METRICS_PORT": str(free_port),
        "GENERATION": f"g-{topic}",
    }  # fmt: skip
    return Shell(settings, tmp_path / "service.log")


def shop_file(tmp_path: Path, authority: Path) -> str:
    return str(kafka_file(tmp_path, authority / "ca.pem", "shop", SECRET))


def test_least_rights_are_enough_and_secrets_show_nowhere(
    shell: Shell, secure_redis: SecureRedis, authority: Path, tmp_path: Path
) -> None:
    products = [{"id": "a", "title": "A", "embedding": [1, 0]}, {"id": "b", "title": "B", "embedding": [1, 1]}]
    lines = "\n".join(map(json.dumps, [*products, {"id": "c", "title": "C", "embedding": [0, 1]}]))
    sent = shell("publish", "-", text=lines, KAFKA_CONFIG=shop_file(tmp_path, authority))
    assert sent.returncode == 0, shell.said
    process = shell.service()
    try:
        wait(lambda: shell.get("/readyz")[0] == 200, process, shell.log)
        sent = shell("publish", "-", text='{"id": "d", "title": "D", "embedding": [1, 0.1]}\n{"id": "e"}',
                     KAFKA_CONFIG=shop_file(tmp_path, authority))  # fmt: skip
        assert sent.returncode == 1, shell.said
        generation = shell.environment["KINSTREAM_GENERATION"]
        with NeighbourReader(secure_redis.url("reader"), generation=generation) as reader:
            wait(lambda: reader.card("d") is not None, process, shell.log)
            assert [neighbour.id for neighbour in reader.neighbours("a")] == ["d", "b", "c"]
        for command in (["doctor"], ["verify"], ["promote", generation]):
            assert shell(*command).returncode == 0, shell.said
        assert shell("neighbours", "a", REDIS=secure_redis.url("reader")).returncode == 0, shell.said
        everything = shell.said + shell.get("/metrics")[1] + shell.get("/readyz")[1]
    finally:
        process.terminate()
        process.wait(30)
    assert process.returncode == 0, shell.log()
    assert SECRET not in everything + shell.log()
    assert "Traceback" not in everything + shell.log()


def test_a_bad_event_is_refused_with_least_rights(
    shell: Shell, secure_kafka: SecureKafka, authority: Path, tmp_path: Path
) -> None:
    produce(shell, secure_kafka, b"{")
    process = shell.service()
    try:
        wait(lambda: shell.get("/readyz")[0] == 200, process, shell.log)
        dead = 'kinstream_events_total{outcome="dead_letter"} 1.0'
        wait(lambda: dead in shell.get("/metrics")[1], process, shell.log)
    finally:
        process.terminate()
        process.wait(30)
    assert process.returncode == 0, shell.log()
    assert first_letter(shell, secure_kafka) == b"{"


def first_letter(shell: Shell, kafka: SecureKafka) -> bytes | None:
    topic = f"{shell.environment['KINSTREAM_TOPIC']}.dlq"
    settings = {"bootstrap.servers": kafka.open_address, "group.id": topic, "auto.offset.reset": "earliest"}
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    letter = consumer.poll(30)
    consumer.close()
    assert letter is not None
    assert letter.error() is None
    value = letter.value()
    return value if isinstance(value, bytes) else None


def produce(shell: Shell, kafka: SecureKafka, value: bytes) -> None:
    raw = Producer({"bootstrap.servers": kafka.open_address})
    raw.produce(shell.environment["KINSTREAM_TOPIC"], value, b"a")
    assert raw.flush(20) == 0


def test_the_reader_reads_and_nothing_else(shell: Shell, secure_redis: SecureRedis) -> None:
    with redis.Redis.from_url(secure_redis.url("kinstream")) as writer:
        writer.hset("kin:g1:p:{a}", "title", "A")
        with pytest.raises(redis.exceptions.NoPermissionError):
            writer.flushall()
        with pytest.raises(redis.exceptions.NoPermissionError):
            writer.set("other", "x")
    with redis.Redis.from_url(secure_redis.url("reader")) as reader:
        assert reader.hgetall("kin:g1:p:{a}") == {b"title": b"A"}
        for forbidden in (
            lambda: reader.hset("kin:g1:p:{a}", "title", "B"),
            lambda: reader.delete("kin:g1:p:{a}"),
            lambda: reader.set("kin:live", "g9"),
            lambda: reader.eval("return 1", 0),
            lambda: reader.get("other"),
            reader.flushall,
            lambda: reader.config_get("*"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                forbidden()
    ended = shell("promote", "g1", REDIS=secure_redis.url("reader"))
    assert ended.returncode == 1
    assert_one_line(ended.stderr, str(secure_redis.port))


def assert_one_line(text: str, *parts: str) -> None:
    """An error as people should see it."""
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("kinstream: ")
    assert [part for part in parts if part not in lines[0]] == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("password", "invalid credentials"),
        ("authority", "certificate verify failed"),
        ("none", "KINSTREAM_KAFKA_CONFIG"),
    ],
)
def test_kafka_turns_it_away(
    shell: Shell, secure_kafka: SecureKafka, authority: Path, tmp_path: Path, secret: str, fault: str, reason: str
) -> None:
    ca = authority / ("stranger.pem" if fault == "authority" else "ca.pem")
    file = tmp_path / "plain.properties"
    file.write_text("")
    if fault != "none":
        file = kafka_file(tmp_path, ca, "kinstream", secret if fault == "password" else SECRET)
    for command in (["run"], ["publish", "-"]) if fault == "password" else (["run"],):
        ended = shell(*command, KAFKA_CONFIG=str(file))
        assert ended.returncode == 3, ended.stderr
        assert_one_line(ended.stderr, secure_kafka.address, reason, "KINSTREAM_KAFKA_CONFIG")
    assert secret not in shell.said
    assert SECRET not in shell.said


@pytest.mark.parametrize(("fault", "reason"), [("password", "user or password"), ("authority", "ssl_ca_certs")])
def test_redis_turns_it_away(
    shell: Shell, secure_redis: SecureRedis, authority: Path, secret: str, fault: str, reason: str
) -> None:
    url = secure_redis.url("kinstream", secret)
    if fault == "authority":
        url = secure_redis.url("kinstream", ca=authority / "stranger.pem")
    ended = shell("neighbours", "a", REDIS=url)
    assert ended.returncode == 3, ended.stderr
    assert_one_line(ended.stderr, f"127.0.0.1:{secure_redis.port}", reason, "KINSTREAM_REDIS")
    assert secret not in shell.said
    assert SECRET not in shell.said


def test_the_service_says_why_it_waits_for_redis(shell: Shell, secure_redis: SecureRedis, secret: str) -> None:
    shell.environment["KINSTREAM_REDIS"] = secure_redis.url("kinstream", secret)
    process = shell.service()
    try:
        wait(lambda: "user or password" in shell.log(), process, shell.log)
    finally:
        process.terminate()
        process.wait(30)
    assert f"127.0.0.1:{secure_redis.port}" in shell.log()
    assert secret not in shell.log()


def test_doctor_names_who_turns_it_away(
    shell: Shell, secure_redis: SecureRedis, authority: Path, tmp_path: Path, secret: str
) -> None:
    file = kafka_file(tmp_path, authority / "ca.pem", "kinstream", secret)
    ended = shell("doctor", KAFKA_CONFIG=str(file), REDIS=secure_redis.url("kinstream", secret))
    assert ended.returncode == 3
    assert ended.stdout.count("UNREACHABLE") == 2
    assert secret not in shell.said
