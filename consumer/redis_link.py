"""Calling Redis steadily: again when keys have moved, and with its errors told as ours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import redis
from redis.exceptions import (
    AskError,
    ClusterDownError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    TryAgainError,
)

from consumer.errors import ServerUnavailable
from consumer.leadership import LEASE_SECONDS
from consumer.redis_nodes import Topology, Wire, load_scripts, topology_of
from consumer.servers import Client, Server, unavailable

TIMEOUT = 10.0
"""Seconds without an answer before Redis counts as unavailable."""
ATTEMPTS = 3
"""How often a call is made at once when keys have moved or a connection broke."""
MOVED = (redis.ConnectionError, AskError, TryAgainError, ClusterDownError, ReadOnlyError, RedisClusterException)
"""Another server may have the keys by now, or the same one may be there again."""

T = TypeVar("T")


class Link:
    """The ways to one Redis: a client for single commands, ``writer`` for writes, ``lease`` for a thread of its own."""

    def __init__(self, url: str) -> None:
        self._server = Server(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, decode_responses=True)
        self._lock = threading.Lock()
        self._topology: Topology | None = None
        self._stale = False
        self.writer = Wire(self.topology, TIMEOUT)
        self.lease = Wire(self.topology, LEASE_SECONDS / 2)

    def client(self) -> Client:
        """The client; may ask the server what it is."""
        return self._server.client()

    def topology(self) -> Topology:
        """Which server has which keys."""
        with self._lock:
            if self._topology is None:
                self._topology = topology_of(self._server.client())
            return self._topology

    def steadily(self, action: Callable[[], T]) -> T:
        """The result of an action that may be made again as a whole.

        Raises:
            ServerUnavailable: Redis does not answer, or keeps refusing.
        """
        with self.reachable():
            for _ in range(ATTEMPTS - 1):
                try:
                    return self._settled(action)
                except NoScriptError:
                    load_scripts(self.topology())
                except MOVED:
                    continue
            return self._settled(action)

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Turns the client's errors into ours."""
        where = self._server.address
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError, ClusterDownError, RedisClusterException) as error:
            raise unavailable(where, error) from error
        except redis.RedisError as error:
            raise ServerUnavailable(f"Redis at {where} refuses ({error}); mend it, see kinstream doctor") from error

    def close(self) -> None:
        """Close the connections."""
        self.writer.drop()
        self.lease.drop()
        self._server.close()

    def _settled(self, action: Callable[[], T]) -> T:
        """After a failure the topology is asked for first: who did not answer may have been replaced."""
        topology = self.topology()
        if self._stale:
            topology.refresh()
            self._stale = False
        try:
            return action()
        except (*MOVED, redis.TimeoutError, NoScriptError):
            self._stale = True
            raise
