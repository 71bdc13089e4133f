"""ops/local/servers.py, tried as a user would: twice, after a kill, beside strangers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not in its __all__
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

pytestmark = pytest.mark.servers

Servers = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def servers(repo_root: Path, tmp_path: Path) -> Iterator[Servers]:
    """Runs one command of servers.py on a root of its own; whatever runs at the end is stopped."""
    script = str(repo_root / "ops" / "local" / "servers.py")

    def run(command: str, *options: str) -> subprocess.CompletedProcess[str]:
        cache = ("--cache", str(repo_root / ".local")) if command == "up" else ()
        arguments = [sys.executable, script, command, "--root", str(tmp_path), *cache, *options]
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    yield run
    run("down")


@pytest.fixture
def redis_options(free_port: int) -> tuple[str, ...]:
    return ("--only", "redis", "--redis-port", str(free_port))


def test_up_twice_and_down_twice(servers: Servers, redis_options: tuple[str, ...], tmp_path: Path) -> None:
    assert servers("up", *redis_options).returncode == 0
    pid = pid_of(tmp_path / "redis")
    assert "already running" in servers("up", *redis_options).stdout
    assert pid_of(tmp_path / "redis") == pid
    assert str(pid) in servers("status", "--only", "redis").stdout
    assert servers("down").returncode == 0
    assert servers("down").returncode == 0
    assert servers("status", "--only", "redis").returncode == 1


def test_data_outlives_a_stop_and_not_a_wipe(servers: Servers, redis_options: tuple[str, ...], free_port: int) -> None:
    assert servers("up", *redis_options).returncode == 0
    with redis.Redis(port=free_port) as client:
        client.set("kept", "yes")
    servers("down")
    servers("up", *redis_options)
    with redis.Redis(port=free_port) as client:
        assert client.get("kept") == b"yes"
    servers("down", "--wipe")
    servers("up", *redis_options)
    with redis.Redis(port=free_port) as client:
        assert client.get("kept") is None


def test_a_taken_port_is_named_with_the_remedy(
    servers: Servers, redis_options: tuple[str, ...], free_port: int
) -> None:
    with listening(free_port):
        done = servers("up", *redis_options)
    assert done.returncode == 1
    assert str(free_port) in done.stderr
    assert "--redis-port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_cannot_start_shows_its_log(
    servers: Servers, redis_options: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text("damaged\n")
    done = servers("up", *redis_options)
    assert done.returncode == 1
    assert "manifest" in done.stderr
    assert "Traceback" not in done.stderr


def test_down_spares_another_program_with_the_recorded_pid(servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        (tmp_path / "redis" / "server.pid").write_text(f"{stranger.pid} 1\n")
        servers("down")
        assert stranger.poll() is None
        stranger.kill()


def test_the_broker_keeps_what_it_acknowledged_when_killed(
    servers: Servers, free_port: int, topic: str, tmp_path: Path
) -> None:
    options = ("--only", "kafka", "--kafka-port", str(free_port))
    assert servers("up", *options).returncode == 0
    bootstrap = f"127.0.0.1:{free_port}"
    assert broker_setting(bootstrap, "message.max.bytes") == str(16 * 1024 * 1024)
    send(bootstrap, topic, b"kept")
    os.kill(pid_of(tmp_path / "kafka"), signal.SIGKILL)
    assert servers("up", *options).returncode == 0
    assert first_value(bootstrap, topic) == b"kept"


def pid_of(folder: Path) -> int:
    return int((folder / "server.pid").read_text().split()[0])


@contextmanager
def listening(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


def broker_setting(bootstrap: str, name: str) -> str | None:
    client = AdminClient({"bootstrap.servers": bootstrap})
    resource = ConfigResource(ResourceType.BROKER, "1")
    value: str | None = client.describe_configs([resource])[resource].result(30)[name].value
    return value


def send(bootstrap: str, topic: str, value: bytes) -> None:
    client = AdminClient({"bootstrap.servers": bootstrap})
    client.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(topic, value)
    assert producer.flush(30) == 0


def first_value(bootstrap: str, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    message = consumer.poll(60)
    consumer.close()
    assert message is not None
    assert message.error() is None
    value = message.value()
    return value if isinstance(value, bytes) else None
