"""Connecting to Redis by URL, whether it is one server or a cluster, and telling its errors."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import ClusterDownError, RedisClusterException
from redis.retry import Retry

from consumer.config import masked
from consumer.errors import KinstreamError, ServerUnavailable

TIMEOUT = 5.0
"""Seconds without an answer before Redis counts as unavailable."""

Client = redis.Redis | redis.RedisCluster
AsyncClient = redis.asyncio.Redis | redis.asyncio.RedisCluster


class Server:
    """A client that was given, or one for a URL: connected at its first use, which finds out whether it is a cluster.

    Args:
        server: a Redis URL, or a client of the caller's own, which ``close`` leaves open.
        options: for the client, when it is made here.

    Raises:
        KinstreamError: not a Redis URL.
    """

    def __init__(self, server: str | Client, **options: Any) -> None:
        self.address = address(server)
        self._options = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, **options}
        self._lock = threading.Lock()
        self._url = server if isinstance(server, str) else None
        self._client: Client = _single(server, self._options) if isinstance(server, str) else server
        self._known = self._url is None

    def client(self) -> Client:
        """The client; call it under ``answering``, since it may ask the server."""
        with self._lock:
            if not self._known and self._url is not None:
                if _is_cluster(self._client.execute_command("HELLO")):  # type: ignore[no-untyped-call]
                    self._client.close()
                    self._client = redis.RedisCluster.from_url(self._url, **self._options)
                self._known = True
            return self._client

    def close(self) -> None:
        """Close the connections that were opened from a URL."""
        if self._url is not None:
            self._client.close()


class AsyncServer:
    """``Server`` for asyncio."""

    def __init__(self, server: str | AsyncClient) -> None:
        self.address = address(server)
        self._url = server if isinstance(server, str) else None
        self._client: AsyncClient = _async_single(server) if isinstance(server, str) else server
        self._known = self._url is None

    async def client(self) -> AsyncClient:
        """The client; await it under ``answering``, since it may ask the server."""
        if not self._known and self._url is not None:
            if _is_cluster(await self._client.execute_command("HELLO")):
                await self._client.aclose()
                self._client = redis.asyncio.RedisCluster.from_url(
                    self._url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT
                )
            self._known = True
        return self._client

    async def close(self) -> None:
        """Close the connections that were opened from a URL."""
        if self._url is not None:
            await self._client.aclose()


def address(server: object) -> str:
    """How errors name a server: the URL without its password, or where a client connects to."""
    if isinstance(server, str):
        return masked(server)
    pool = getattr(server, "connection_pool", None)
    if pool is None:
        return "the given client's cluster"
    where = pool.connection_kwargs
    return str(where.get("path") or f"{where.get('host', 'localhost')}:{where.get('port', 6379)}")


@contextmanager
def answering(where: str) -> Iterator[None]:
    """Turns the client's errors into ours.

    Raises:
        ServerUnavailable: Redis at ``where`` does not answer.
        KinstreamError: it answers with an error.
    """
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, ClusterDownError, RedisClusterException) as error:
        raise unavailable(where, error) from error
    except redis.RedisError as error:
        raise KinstreamError(f"Redis at {where} refused a command ({error}); see kinstream doctor") from error


def unavailable(where: str, error: Exception) -> ServerUnavailable:
    """The error for a server that cannot be reached, or turns us away."""
    if isinstance(error, redis.AuthenticationError):
        return ServerUnavailable(f"Redis at {where} takes no such user or password ({error}); correct KINSTREAM_REDIS")
    if isinstance(error.__cause__, ssl.SSLError) or "certificate verify failed" in str(error):
        return ServerUnavailable(
            f"Redis at {where} cannot be trusted ({error}); name the file of its authority in KINSTREAM_REDIS: "
            "rediss://…?ssl_ca_certs=FILE"
        )
    return ServerUnavailable(f"Redis at {where} does not answer ({error}); start it, or set KINSTREAM_REDIS")


def _single(url: str, options: Mapping[str, Any]) -> redis.Redis:
    try:
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 1), **options)
    except ValueError as error:
        raise _bad_url(url, error) from None


def _async_single(url: str) -> redis.asyncio.Redis:
    try:
        return redis.asyncio.Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
    except ValueError as error:
        raise _bad_url(url, error) from None


def _is_cluster(hello: Any) -> bool:
    """Reads the answer to HELLO, which every user may ask: pairs, or a flat list in the old protocol."""
    pairs = hello.items() if isinstance(hello, Mapping) else zip(hello[::2], hello[1::2], strict=True)
    return any(name in ("mode", b"mode") and value in ("cluster", b"cluster") for name, value in pairs)


def _bad_url(url: str, error: ValueError) -> KinstreamError:
    return KinstreamError(f"{masked(url)} is not a Redis URL ({error}): expected redis://host:port/database")
