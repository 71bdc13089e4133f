"""Stores of every kind, what a test may do to them behind their back, and a Redis Cluster of three primaries."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from consumer.memory import MemoryStore
from consumer.memory_server import MemoryServer
from consumer.ports import Store
from consumer.redis import RedisStore

PRIMARIES = 3
Seen = tuple[list[tuple[str, float]] | None, dict[str, str] | None]


class World(Protocol):
    """One server, as a test sees it."""

    def store(self, generation: str = "g1") -> Store:
        """A store of a further service."""

    def view(self, id: str, generation: str = "g1") -> Seen:
        """What a reader sees of a product: its list and its card."""

    def live(self) -> str | None: ...

    def state(self, generation: str = "g1") -> tuple[str, int]:
        """State and number of products."""

    def promote(self, generation: str) -> None: ...

    def end_lease(self) -> None:
        """As if the leader's time had run out."""

    def lose(self) -> None:
        """Empty the server."""

    def dump(self) -> Any: ...

    def restore(self, dump: Any) -> None:
        """Put back what was dumped, and nothing else."""

    def close(self) -> None: ...


class MemoryWorld:
    def __init__(self) -> None:
        microseconds = itertools.count(10**9)
        self.server = MemoryServer(lambda: next(microseconds) / 1_000_000)
        self.dump = self.server.dump
        self.restore = self.server.restore
        self.lose = self.server.lose

    def store(self, generation: str = "g1") -> Store:
        return MemoryStore(generation, self.server)

    def view(self, id: str, generation: str = "g1") -> Seen:
        kept = self.server.kept[generation]
        return kept.lists.get(id) or None, kept.cards.get(id)

    def live(self) -> str | None:
        return self.server.live

    def state(self, generation: str = "g1") -> tuple[str, int]:
        meta = self.server.kept[generation].meta
        assert meta is not None
        return meta.state, meta.products

    def promote(self, generation: str) -> None:
        self.server.live = generation

    def end_lease(self) -> None:
        self.server.kept["g1"].lease_until = 0.0

    def close(self) -> None:
        """Nothing to close."""


class RedisWorld:
    """One server, or the primaries of a cluster: each key lies where its slot does."""

    def __init__(self, url: str, ports: list[int]) -> None:
        self._url = url
        self._nodes = [redis.Redis(port=port, decode_responses=True) for port in ports]
        self._raw = [redis.Redis(port=port) for port in ports]
        self._made: list[Store] = []

    def store(self, generation: str = "g1") -> Store:
        self._made.append(RedisStore(self._url, generation))
        return self._made[-1]

    def view(self, id: str, generation: str = "g1") -> Seen:
        name, card = f"kin:{generation}:n:{{{id}}}", f"kin:{generation}:p:{{{id}}}"
        members = self.node(name).zrevrange(name, 0, -1, withscores=True)
        return [(member, score) for member, score in members] or None, self.node(card).hgetall(card) or None

    def live(self) -> str | None:
        return self.node("kin:live").get("kin:live")

    def meta(self, generation: str = "g1") -> dict[str, str]:
        name = f"kin:{generation}:meta"
        return dict(self.node(name).hgetall(name))

    def state(self, generation: str = "g1") -> tuple[str, int]:
        meta = self.meta(generation)
        return meta["state"], int(meta["products"])

    def promote(self, generation: str) -> None:
        self.node("kin:live").set("kin:live", generation)

    def end_lease(self) -> None:
        self.node("kin:g1:meta").hset("kin:g1:meta", "lease_until", 1)

    def lose(self) -> None:
        for node in self._nodes:
            node.flushall()

    def dump(self) -> list[dict[bytes, bytes]]:
        return [{key: node.dump(key) for key in node.scan_iter()} for node in self._raw]

    def restore(self, dump: list[dict[bytes, bytes]]) -> None:
        self.lose()
        for node, kept in zip(self._raw, dump, strict=True):
            for key, value in kept.items():
                node.restore(key, 0, value)

    def node(self, key: str) -> Any:
        """The node that has a key."""
        ends = [(number + 1) * REDIS_CLUSTER_HASH_SLOTS // len(self._nodes) for number in range(len(self._nodes))]
        slot = key_slot(key.encode())
        return next(node for node, end in zip(self._nodes, ends, strict=True) if slot < end)

    def close(self) -> None:
        for each in [*self._made, *self._nodes, *self._raw]:
            each.close()


class ClusterServers:
    """The servers of a cluster, each with a process of its own."""

    def __init__(self, root: Path, ports: list[int]) -> None:
        self.ports = ports
        self._root = root
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.ports[0]}/0"

    def start(self, port: int) -> None:
        folder = self._root / str(port)
        folder.mkdir(exist_ok=True)
        address = ["--bind", "127.0.0.1", "--port", str(port), "--cluster-port", str(bus_of(port))]
        data = ["--dir", str(folder), "--save", "", "--appendonly", "no"]
        cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500"]
        with (folder / "log").open("ab") as log:
            self._processes[port] = subprocess.Popen(
                ["redis-server", *address, *data, *cluster], stdout=log, stderr=log
            )
        until(lambda: self._says(port, "PING") is not None)

    def kill(self, port: int) -> None:
        process = self._processes.pop(port)
        process.kill()
        process.wait()

    def port_of(self, id: str) -> int:
        """The node that has a product."""
        return self.ports[key_slot(id.encode()) * len(self.ports) // REDIS_CLUSTER_HASH_SLOTS]

    def move(self, slot: int, source: int, target: int) -> None:
        """Move a slot with all its keys, as ``redis-cli --cluster reshard`` does."""
        old, new = redis.Redis(port=source), redis.Redis(port=target)
        names = [client.execute_command("CLUSTER MYID").decode() for client in (old, new)]
        new.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[0])
        old.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[1])
        moving = old.execute_command("CLUSTER GETKEYSINSLOT", slot, 1000)
        old.execute_command("MIGRATE", "127.0.0.1", target, "", 0, 5000, "KEYS", *moving)
        for client in (new, old):
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", names[1])
        old.close()
        new.close()

    def add_replica(self, of: int) -> int:
        """Start a further node that copies one of the others; its port."""
        port = free_ports(1)[0]
        self.start(port)
        with redis.Redis(port=port, decode_responses=True) as new, redis.Redis(port=of, decode_responses=True) as old:
            new.execute_command("CLUSTER MEET", "127.0.0.1", of, bus_of(of))
            name = old.execute_command("CLUSTER MYID")
            until(lambda: self._says(port, f"CLUSTER REPLICATE {name}") is not None)
            until(lambda: new.info("replication").get("master_link_status") == "up")
        return port

    def take_over(self, replica: int, primary: int) -> None:
        """Let a replica become the primary at once, whether it has everything or not."""
        with redis.Redis(port=replica) as new, redis.Redis(port=primary) as old:
            until(lambda: str(replica) in str(old.execute_command("CLUSTER NODES")))
            new.execute_command("CLUSTER FAILOVER TAKEOVER")
            until(lambda: (new.info("replication")["role"], old.info("replication")["role"]) == ("master", "slave"))

    def forget(self, port: int) -> None:
        """Take a node out of the cluster for good."""
        with redis.Redis(port=port, decode_responses=True) as client:
            name = client.execute_command("CLUSTER MYID")
        self.kill(port)
        for other in self.ports:
            with redis.Redis(port=other) as client:
                client.execute_command("CLUSTER FORGET", name)
        until(self.whole)

    def stop(self) -> None:
        for port in list(self._processes):
            self.kill(port)

    def join(self) -> None:
        """Share out the slots in equal parts, and let the nodes know each other."""
        total, parts = REDIS_CLUSTER_HASH_SLOTS, len(self.ports)
        for number, port in enumerate(self.ports):
            with redis.Redis(port=port) as client:
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                slots = range(number * total // parts, (number + 1) * total // parts)
                client.execute_command("CLUSTER ADDSLOTS", *slots)
                if number:
                    client.execute_command("CLUSTER MEET", "127.0.0.1", self.ports[0], bus_of(self.ports[0]))
        self.until(self.whole)

    def until(self, condition: Callable[[], bool]) -> None:
        """Poll a condition until it holds."""
        until(condition)

    def whole(self) -> bool:
        """Whether every node says that all is well, and knows all others."""
        told = [str(self._says(port, "CLUSTER INFO")) for port in self.ports]
        return all("cluster_state:ok" in each and f"cluster_known_nodes:{len(self.ports)}" in each for each in told)

    def _says(self, port: int, command: str) -> Any:
        with redis.Redis(port=port, decode_responses=True) as client:
            try:
                return client.execute_command(*command.split())
            except redis.RedisError:
                return None


@pytest.fixture(params=["memory", *(pytest.param(name, marks=pytest.mark.servers) for name in ("redis", "cluster"))])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made: World
    if request.param == "memory":
        made = MemoryWorld()
    elif request.param == "redis":
        url = request.getfixturevalue("redis_url")
        made = RedisWorld(url, [redis.Redis.from_url(url).connection_pool.connection_kwargs["port"]])
    else:
        made = RedisWorld(request.getfixturevalue("cluster_url"), request.getfixturevalue("cluster_servers").ports)
    yield made
    made.close()


@pytest.fixture(scope="package")
def cluster_servers(tmp_path_factory: pytest.TempPathFactory, repo_root: Path) -> Iterator[ClusterServers]:
    tools = [sys.executable, str(repo_root / "ops" / "local" / "servers.py"), "tools", "--only", "redis-server"]
    subprocess.run(tools, check=True)
    servers = ClusterServers(tmp_path_factory.mktemp("cluster"), free_ports(PRIMARIES))
    try:
        for port in servers.ports:
            servers.start(port)
        servers.join()
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def cluster_url(cluster_servers: ClusterServers) -> str:
    """URL of one node of a real and empty cluster."""
    for port in cluster_servers.ports:
        with redis.Redis(port=port) as client:
            client.flushall()
    return cluster_servers.url


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Poll a condition until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def bus_of(port: int) -> int:
    """A port for the nodes' own talk; the usual one, 10000 above, may be out of range."""
    return port - 1000 if port > 32_000 else port + 1000


def free_ports(number: int) -> list[int]:
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
