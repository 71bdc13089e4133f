"""Real servers without containers, on 127.0.0.1: Apache Kafka, Redis and Prometheus.

.venv/bin/python ops/local/servers.py up
.venv/bin/python ops/local/servers.py status
.venv/bin/python ops/local/servers.py down
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from kafka import kafka
from packages import require
from processes import Server, ServerError

from producer.kafka_config import client_config
from producer.topics import DEAD_LETTERS, PRODUCTS, ensure_topics

OPS = Path(__file__).resolve().parents[1]
NAMES = ("kafka", "redis", "prometheus")

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
Root = Annotated[Path, typer.Option(help="Folder of all data, logs and pids.")]
Only = Annotated[list[str] | None, typer.Option(help="Only this server; may be given several times.")]


@app.command()
def up(
    root: Root = Path(".local/servers"),
    cache: Annotated[Path, typer.Option(help="Folder of downloads.")] = Path(".local"),
    kafka_port: int = 9092,
    redis_port: int = 6379,
    prometheus_port: int = 9090,
    metrics_port: Annotated[int, typer.Option(help="Port of kinstream that Prometheus scrapes.")] = 9464,
    only: Only = None,
) -> None:
    """Start what does not run yet, and wait until it answers."""
    make: dict[str, Callable[[Path], Server]] = {
        "kafka": lambda folder: kafka(folder, kafka_port, cache.resolve()),
        "redis": lambda folder: _redis(folder, redis_port),
        "prometheus": lambda folder: _prometheus(folder, prometheus_port, metrics_port),
    }
    for name in _chosen(only):
        try:
            _up(name, root.resolve() / name, make[name])
        except ServerError as error:
            if name != "prometheus":
                _fail(error)
            print(f"warning: going on without Prometheus: {error}", file=sys.stderr)
    if "kafka" in _chosen(only):
        _topics(kafka_port)


@app.command()
def tools(
    only: Annotated[list[str], typer.Option(help="java, mvn, redis-server or prometheus; may be repeated.")],
) -> None:
    """Make sure that programs are there, installing them where that is possible."""
    try:
        require(only)
    except ServerError as error:
        _fail(error)


@app.command()
def down(root: Root = Path(".local/servers"), only: Only = None, wipe: bool = False) -> None:
    """Stop each server by its own pid; --wipe removes the data too."""
    for server in _existing(root, only):
        print(f"{server.name}: {'stopped' if server.stop() else 'was not running'}", flush=True)
        if wipe:
            shutil.rmtree(server.folder)


@app.command()
def status(root: Root = Path(".local/servers"), only: Only = None) -> None:
    """Say what runs; exit code 1 when something does not."""
    servers = list(_existing(root, only))
    for server in servers:
        pid = server.pid()
        print(f"{server.name}: {'not running' if pid is None else f'pid {pid}'}, log {server.log}")
    if not servers or any(server.pid() is None for server in servers):
        raise typer.Exit(1)


def _topics(port: int) -> None:
    """The topics that publishers and the service use by default; they make their own when they use others."""
    made = ensure_topics(client_config(f"127.0.0.1:{port}", None), {"products": PRODUCTS, "products.dlq": DEAD_LETTERS})
    if made:
        print(f"kafka: made topics {', '.join(made)}", flush=True)


def _up(name: str, folder: Path, make: Callable[[Path], Server]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    running = Server(name, folder, 0, [], 0).pid()
    if running is not None:
        print(f"{name}: already running, pid {running}", flush=True)
        return
    server = make(folder)
    print(f"{name}: starting …", flush=True)
    server.start()
    print(f"{name}: listening on 127.0.0.1:{server.port}, pid {server.pid()}", flush=True)


def _redis(folder: Path, port: int) -> Server:
    require(["redis-server"])
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    settings = ["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no"]
    return Server("redis", folder, port, command + settings, start_seconds=20)


def _prometheus(folder: Path, port: int, metrics_port: int) -> Server:
    require(["prometheus"])
    template = (OPS / "prometheus" / "prometheus.yml").read_text()
    settings = folder / "prometheus.yml"
    settings.write_text(template.replace("127.0.0.1:9464", f"127.0.0.1:{metrics_port}"))
    shutil.copy(OPS / "prometheus" / "kinstream.rules.yml", folder)
    command = ["prometheus", f"--config.file={settings}", f"--storage.tsdb.path={folder / 'data'}"]
    return Server("prometheus", folder, port, [*command, f"--web.listen-address=127.0.0.1:{port}"], start_seconds=30)


def _chosen(only: list[str] | None) -> list[str]:
    unknown = set(only or []) - set(NAMES)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(NAMES)}", param_hint="--only")
    return [name for name in NAMES if not only or name in only]


def _existing(root: Path, only: list[str] | None) -> Iterator[Server]:
    for name in _chosen(only):
        folder = root.resolve() / name
        if folder.exists():
            yield Server(name, folder, 0, [], 0)


def _fail(error: ServerError) -> None:
    print(f"error: {error}", file=sys.stderr)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
