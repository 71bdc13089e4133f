"""A real Apache Kafka broker: KRaft, one node, jars from Maven."""

from __future__ import annotations

import base64
import shutil
import subprocess
import uuid
from pathlib import Path

from packages import require
from processes import Server, ServerError, free_port

HERE = Path(__file__).resolve().parent
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
JVM = ["-Xms128m", "-Xmx384m", "-XX:+UseG1GC", "-XX:MaxDirectMemorySize=128m", "-XX:+ExitOnOutOfMemoryError"]


def kafka(folder: Path, port: int, cache: Path, proxied: tuple[int, int] | None = None) -> Server:
    """The broker, ready to be started: jars fetched, settings written, storage formatted.

    Args:
        folder: of its data.
        port: that it listens on and names to its clients.
        cache: of the jars.
        proxied: another port to listen on, and the port of a proxy in front of it: whoever comes in there is told of that.
    """
    require(["java", "mvn"])
    jars = _jars(cache)
    java = ["java", *JVM, f"-Dlog4j2.configurationFile={HERE / 'log4j2.yaml'}", "-cp", f"{jars}/*"]
    settings = folder / "server.properties"
    settings.write_text(_settings(folder, port, proxied))
    if not (folder / "data" / "meta.properties").exists():
        format_command = ["kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(settings)]
        _run([*java, *format_command, "--ignore-formatted"], folder)
    return Server("kafka", folder, port, [*java, "kafka.Kafka", str(settings)], start_seconds=90)


def _cluster_id() -> str:
    """A random UUID as Kafka writes them. One that began with a dash would be taken for an option."""
    drawn = uuid.uuid4().bytes
    return base64.urlsafe_b64encode(bytes([drawn[0] >> 1]) + drawn[1:]).decode().rstrip("=")


def _jars(cache: Path) -> Path:
    jars = cache / "kafka-libs"
    if not jars.exists():
        print("fetching Apache Kafka …", flush=True)
        partial = cache / "kafka-libs.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
        _run([*command, f"-DoutputDirectory={partial}"], cache)
        partial.rename(jars)
    return jars


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        end = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise ServerError(f"{command[0]} failed, is the network there and the disk not full?\n{end}")


def _settings(folder: Path, port: int, proxied: tuple[int, int] | None) -> str:
    """Everything of one node has one replica; the controller listens on any free port."""
    controller = free_port()
    listeners = {"PLAINTEXT": (port, port)} | ({"PROXIED": proxied} if proxied else {})
    plain = ",".join(f"{name}:PLAINTEXT" for name in [*listeners, "CONTROLLER"])
    heard = "".join(f"{name}://127.0.0.1:{inner}," for name, (inner, _) in listeners.items())
    told = ",".join(f"{name}://127.0.0.1:{outer}" for name, (_, outer) in listeners.items())
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{heard}CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": told,
        "listener.security.protocol.map": plain,
        "log.dirs": folder / "data",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "group.initial.rebalance.delay.ms": 0,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "replica.fetch.max.bytes": MAX_MESSAGE_BYTES,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
