"""Where keys lie, and connections that commands are packed for by hand: the client's own pipeline costs more than them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, TypeAlias

import hiredis
import redis
from redis.cluster import ClusterNode

from consumer import keys
from consumer.errors import StoreLost
from consumer.redis_scripts import ALL, Command
from consumer.servers import Client

CHUNK = 1000
"""Calls sent before their answers are read."""
AHEAD = 32_768
"""Bytes packed before they are sent, so that Redis works while more is packed."""

Call: TypeAlias = tuple[int, Command]
"""A hash slot, and a command for whoever serves it."""


class Topology(Protocol):
    """Which server has which keys."""

    clustered: bool
    slots: range
    """Numbers of the hash slots; one only when all keys are on one server."""

    def slot_of(self, key: str) -> int:
        """The hash slot of a key."""

    def fence(self, generation: str, slot: int) -> str:
        """The fence key of a slot."""

    def server(self, slot: int) -> tuple[str, redis.Redis]:
        """Name and client of the server that has a slot."""

    def samples(self) -> Sequence[int]:
        """One slot of each server."""

    def refresh(self) -> None:
        """Find out anew who serves what."""


class OneServer:
    """All keys on one server."""

    clustered = False
    slots = range(1)

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def slot_of(self, key: str) -> int:
        """One slot is enough."""
        return 0

    def fence(self, generation: str, slot: int) -> str:
        """One fence for all."""
        return keys.fence_key(generation)

    def server(self, slot: int) -> tuple[str, redis.Redis]:
        """The server."""
        return "", self._client

    def samples(self) -> Sequence[int]:
        """The one slot."""
        return self.slots

    def refresh(self) -> None:
        """Nothing ever moves."""


class Cluster:
    """Keys spread over the primaries of a Redis Cluster."""

    clustered = True
    slots = range(keys.SLOTS)

    def __init__(self, client: redis.RedisCluster) -> None:
        self._client = client
        self._samples = self._found()

    def slot_of(self, key: str) -> int:
        """As the cluster computes it."""
        return keys.slot_of(key)

    def fence(self, generation: str, slot: int) -> str:
        """A fence in each slot, beside the products there."""
        return keys.slot_fence_key(generation, slot)

    def server(self, slot: int) -> tuple[str, redis.Redis]:
        """The slot's primary."""
        node: ClusterNode = self._client.nodes_manager.get_node_from_slot(slot)
        return node.name, node.redis_connection

    def samples(self) -> Sequence[int]:
        """One slot of each primary, as it was at the last refresh."""
        return self._samples

    def refresh(self) -> None:
        """Ask the cluster."""
        self._client.nodes_manager.initialize()
        self._samples = self._found()

    def _found(self) -> list[int]:
        return list({self.server(slot)[0]: slot for slot in self.slots}.values())


def topology_of(client: Client) -> Topology:
    """What a client is connected to."""
    return OneServer(client) if isinstance(client, redis.Redis) else Cluster(client)


def load_scripts(topology: Topology) -> None:
    """Make the scripts known to every server."""
    for slot in topology.samples():
        for script in ALL:
            topology.server(slot)[1].script_load(script.source)


class Wire:
    """One thread's own connections, one to each server, held until the first of them breaks.

    A pool would connect again in silence between two commands, maybe to a server that restarted without the first. Where
    there are several servers, each may lose writes that the others have; so after ``begin`` only the processes that
    served then are taken for the store that was written to.
    """

    def __init__(self, topology: Callable[[], Topology], timeout: float) -> None:
        self._topology = topology
        self._timeout = timeout
        self._held: dict[str, Any] = {}
        self._processes: set[str] | None = None

    def begin(self) -> None:
        """Take the servers as they are now for the store."""
        self.drop()
        self._processes = None
        self._topology().refresh()
        if self._topology().clustered:
            self._processes = {self._process(slot) for slot in self._topology().samples()}

    def ask(self, calls: Iterable[Call]) -> Iterator[Any]:
        """The answers, in no order. Whatever fails leaves nothing half read behind.

        Raises:
            StoreLost: another process than at ``begin`` serves a slot.
        """
        remaining = iter(calls)
        while chunk := list(islice(remaining, CHUNK)):
            yield from self._exchanged(chunk)

    def drop(self) -> None:
        """Close the connections; the next call opens new ones."""
        for connection in self._held.values():
            connection.disconnect()
        self._held.clear()

    def _exchanged(self, calls: Sequence[Call]) -> list[Any]:
        try:
            by_server: dict[str, tuple[int, list[Command]]] = {}
            for slot, command in calls:
                by_server.setdefault(self._topology().server(slot)[0], (slot, []))[1].append(command)
            connections = [(self._connection(slot), commands) for slot, commands in by_server.values()]
            for connection, commands in connections:
                for packed in _packed(commands):
                    connection.send_packed_command([packed])
            return [connection.read_response() for connection, commands in connections for _ in commands]
        except BaseException:
            self.drop()
            raise

    def _connection(self, slot: int) -> Any:
        name, client = self._topology().server(slot)
        held = self._held.get(name)
        if held is None:
            pool = client.connection_pool
            held = self._held[name] = pool.connection_class(
                **pool.connection_kwargs | {"socket_timeout": self._timeout, "socket_connect_timeout": self._timeout}
            )
            held.connect()
            if self._processes is not None and self._process(slot) not in self._processes:
                raise StoreLost(f"Redis at {name} was restarted or replaced: what it had may be lost")
        return held

    def _process(self, slot: int) -> str:
        """What Redis gives itself anew at each start."""
        connection = self._connection(slot)
        connection.send_command("INFO", "server")
        found = re.search(r"run_id:(\w+)", str(connection.read_response()))
        return found[1] if found else ""


def _packed(commands: Sequence[Command]) -> Iterator[bytes]:
    parts, size = [], 0
    for command in commands:
        parts.append(hiredis.pack_command(command))  # type: ignore[arg-type]
        size += len(parts[-1])
        if size >= AHEAD:
            yield b"".join(parts)
            parts, size = [], 0
    yield b"".join(parts)
