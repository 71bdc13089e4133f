"""Real servers for the tests that need them, and nothing swallowed."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
SERVERS = ROOT / "ops" / "local" / "servers.py"
NEEDS_SERVERS = {"kafka", "redis_url"}

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if NEEDS_SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker("servers")


@pytest.fixture(autouse=True)
def _threads_do_not_die_silently() -> Iterator[None]:
    """An exception that ended a thread fails the test."""
    died: list[threading.ExceptHookArgs] = []
    previous, threading.excepthook = threading.excepthook, died.append
    yield
    threading.excepthook = previous
    assert not died, f"a thread died: {died[0].exc_value!r}"


@pytest.fixture(scope="session")
def repo_root() -> Path:
    return ROOT


@pytest.fixture
def shared_data(request: pytest.FixtureRequest) -> Path:
    """The real data sets that lie beside the checkout in CI."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.exists():
        pytest.skip(f"{request.node.name}: needs the data sets in {folder}")
    return folder


@pytest.fixture(scope="session")
def bundle() -> Path:
    """The default model bundle."""
    folder = ROOT / ".local" / "models" / "default"
    if not (folder / "manifest.json").exists():
        pytest.fail(f"{folder} is missing: run `make bundle`")
    return folder


@pytest.fixture(scope="session")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    root = tmp_path_factory.mktemp("servers")
    ports = {"kafka": free_port(), "redis": free_port()}
    names = [option for name in ports for option in ("--only", name)]
    numbers = [option for name, port in ports.items() for option in (f"--{name}-port", str(port))]
    _run("up", "--root", str(root), "--cache", str(ROOT / ".local"), *names, *numbers)
    try:
        yield ports
    finally:
        _run("down", "--root", str(root), *names)


@pytest.fixture(scope="session")
def kafka(_servers: dict[str, int]) -> str:
    """Bootstrap address of a real broker."""
    return f"127.0.0.1:{_servers['kafka']}"


@pytest.fixture
def redis_url(_servers: dict[str, int]) -> Iterator[str]:
    """URL of a real and empty Redis."""
    url = f"redis://127.0.0.1:{_servers['redis']}/0"
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield url


@pytest.fixture
def topic() -> str:
    """A name that no other test uses; not created."""
    return f"products-{uuid.uuid4().hex[:8]}"


@pytest.fixture(name="free_port")
def _free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    return free_port()


@pytest.fixture
def other_port() -> int:
    """Another one, for a second server."""
    return free_port()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(*arguments: str) -> None:
    done = subprocess.run([sys.executable, str(SERVERS), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
