"""Servers that ask who is there: Kafka and Redis with TLS, users, and rights, all made for the tests."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import redis
import trustme
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not in its __all__
    AclBinding,
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from producer.publisher import Publisher

LOCAL = Path(__file__).resolve().parents[2] / "ops" / "local"
SECRET = "open-sesame"
START_SECONDS, STOP_SECONDS = 90, 15
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True)
class SecureKafka:
    """``address`` asks for TLS, password and rights; ``open_address``, where ``admin`` is, asks for nothing."""

    address: str
    open_address: str
    admin: AdminClient

    def add_user(self, name: str, password: str) -> None:
        """A user without any rights."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        asked = self.admin.alter_user_scram_credentials([UserScramCredentialUpsertion(name, info, password.encode())])
        asked[name].result(30)

    def allow(self, *bindings: AclBinding) -> None:
        """Give rights."""
        for asked in self.admin.create_acls(list(bindings)).values():
            asked.result(30)


@dataclass(frozen=True)
class SecureRedis:
    """A Redis that speaks TLS only, with the users of the ACL file; ``ca`` is the file of its authority."""

    port: int
    ca: Path

    def url(self, user: str, password: str = SECRET, ca: Path | None = None) -> str:
        """The address of a user."""
        return f"rediss://{user}:{password}@127.0.0.1:{self.port}/0?ssl_ca_certs={ca or self.ca}"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate of an authority, and what it certified for 127.0.0.1: ``ca``, ``cert``, ``key``."""
    folder = tmp_path_factory.mktemp("authority")
    ca = trustme.CA()
    issued = ca.issue_cert("127.0.0.1")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    (folder / "both.pem").write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    trustme.CA().cert_pem.write_to_path(folder / "stranger.pem")
    return folder


@pytest.fixture(scope="session")
def secure_kafka(authority: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """A broker that takes nobody without TLS, password and rights."""
    local = _modules("kafka", "processes")
    port, open_port = local["processes"].free_port(), local["processes"].free_port()
    server = local["kafka"].kafka(tmp_path_factory.mktemp("secure-kafka"), port, LOCAL.parents[1] / ".local")
    settings = server.folder / "server.properties"
    settings.write_text(settings.read_text() + _secure_settings(settings.read_text(), port, open_port, authority))
    with _running(server.command, server.folder, port):
        open_address = f"127.0.0.1:{open_port}"
        yield SecureKafka(f"127.0.0.1:{port}", open_address, AdminClient({"bootstrap.servers": open_address}))


@pytest.fixture(scope="session")
def secure_redis(authority: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureRedis]:
    """A Redis that takes nobody without TLS and password; its rights are those of docs/operations.md."""
    processes = _modules("processes")["processes"]
    folder = tmp_path_factory.mktemp("secure-redis")
    rules = acl_lines((LOCAL.parents[1] / "docs" / "operations.md").read_text())
    users = "".join(f"{line.replace('>change-me', '>' + SECRET)}\n" for line in rules)
    (folder / "users.acl").write_text(users)
    port = processes.free_port()
    options = {
        "bind": "127.0.0.1", "port": 0, "tls-port": port, "tls-auth-clients": "no", "dir": folder, "save": "",
        "tls-cert-file": authority / "cert.pem", "tls-key-file": authority / "key.pem",
        "tls-ca-cert-file": authority / "ca.pem", "aclfile": folder / "users.acl",
    }  # fmt: skip
    command = ["redis-server", *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
    with _running(command, folder, port):
        yield SecureRedis(port, authority / "ca.pem")


def acl_lines(document: str) -> list[str]:
    """The lines that the document has people copy into Redis's ACL file."""
    return [line for line in document.splitlines() if line.startswith("user ")]


@pytest.fixture
def secret() -> str:
    """A password that must show nowhere."""
    return f"{SECRET}-{uuid.uuid4().hex}"


def _modules(*names: str) -> Mapping[str, ModuleType]:
    """Scripts of ops/local."""
    if str(LOCAL) not in sys.path:
        sys.path.append(str(LOCAL))
    return {name: import_module(name) for name in names}


def _secure_settings(plain: str, port: int, open_port: int, authority: Path) -> str:
    """What is written last counts."""
    controller = plain.partition("CONTROLLER://")[2].partition("\n")[0]
    settings = {
        "listeners": f"SASL_SSL://127.0.0.1:{port},OPEN://127.0.0.1:{open_port},CONTROLLER://{controller}",
        "advertised.listeners": f"SASL_SSL://127.0.0.1:{port},OPEN://127.0.0.1:{open_port}",
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,OPEN:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "OPEN",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{SCRAM} required;",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": authority / "both.pem",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """A server with its log in its folder, from its first answer on."""
    answers, wait_until = (getattr(_modules("processes")["processes"], name) for name in ("answers", "wait_until"))
    log = folder / "server.log"
    with log.open("ab") as out, subprocess.Popen(command, cwd=folder, stdout=out, stderr=out) as process:
        try:
            wait_until(lambda: answers(port) or process.poll() is not None, START_SECONDS)
            assert answers(port), log.read_text()[-2000:]
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


DIM = 16
KINSTREAM = [sys.executable, "-m", "consumer"]


class Service:
    """``kinstream run`` and the commands beside it, with settings of their own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.environment = {**{n: v for n, v in os.environ.items() if not n.startswith("KINSTREAM_")}, **environment}
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def publisher(self) -> Publisher:
        return Publisher(self.environment["KINSTREAM_KAFKA"], self.environment["KINSTREAM_TOPIC"])

    def products(self, n: int, seed: int = 0) -> list[dict[str, Any]]:
        """Products p0 to p(n-1) with vectors of their own."""
        vectors = np.random.default_rng(seed).normal(size=(n, DIM))
        return [
            {"id": f"p{row}", "title": f"product {row}", "price": row, "embedding": vector.tolist()}
            for row, vector in enumerate(vectors)
        ]

    def lists(self, reader: redis.Redis) -> dict[str, list[tuple[str, float]]]:
        """Every list in Redis, by its key."""
        name = self.environment.get("KINSTREAM_GENERATION", "g1")
        keys = [str(key) for key in reader.scan_iter(f"kin:{name}:n:*", count=1000)]
        return {key: sorted((m, round(s, 5)) for m, s in reader.zrange(key, 0, -1, withscores=True)) for key in keys}

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What the service said of an event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def start(self, *options: str) -> None:
        self.launch(*options)
        self.wait(lambda: self.get("/readyz")[0] == 200)

    def launch(self, *options: str) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*KINSTREAM, "run", *options], env=self.environment, stdout=log, stderr=log)

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    def command(self, *arguments: str, code: int = 0, text: str = "") -> str:
        done = subprocess.run(
            [*KINSTREAM, *arguments],
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.environment['KINSTREAM_METRICS_PORT']}{path}", timeout=10
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (OSError, http.client.BadStatusLine):  # a client that nobody answers yet may get connected to itself
            return 0, ""

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels; a label may be part of the name."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def applied(self, events: int) -> None:
        """Wait until so many events were applied since the start, and their offsets committed."""
        self.wait(
            lambda: self.metric("kinstream_events_total{") >= events and self.metric("kinstream_consumer_lag{") == 0
        )

    def wait(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process is None or self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)


@pytest.fixture
def service(kafka: str, redis_url: str, topic: str, tmp_path: Path, free_port: int) -> Iterator[Service]:
    settings = {
        "KAFKA": kafka, "REDIS": redis_url, "TOPIC": topic, "GROUP": topic, "MODEL": "none", "DIM": str(DIM),
        "STATE": str(tmp_path / "state"), "METRICS_PORT": str(free_port),
    }  # fmt: skip
    made = Service({f"KINSTREAM_{name}": value for name, value in settings.items()}, tmp_path / "service.log")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def reader(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client
