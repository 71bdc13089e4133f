"""The proxy's weather, on a server that answers with what it is told."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from processes import free_port, wait_until
from proxy import FAIR, RESET, Proxy, Weather

LONG, SOON = 10.0, 0.2


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while told := self.request.recv(65536):
                self.request.sendall(told)
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture
def echo() -> Iterator[int]:
    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def slept() -> list[float]:
    """Seconds that the proxy would have slept."""
    return []


@pytest.fixture
def proxy(echo: int, slept: list[float]) -> Iterator[Proxy]:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    made = Proxy(free_port(), echo, sleep)
    made.start()
    yield made
    made.close()


@contextmanager
def connected(proxy: Proxy, seconds: float = LONG) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=seconds) as connection:
        yield connection


def told_back(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = connection.recv(65536)
        if not more:
            break
        found += more
    return found


def test_all_bytes_pass_in_order(proxy: Proxy) -> None:
    sent = bytes(range(256)) * 4000
    with connected(proxy) as connection:
        writer = threading.Thread(target=connection.sendall, args=(sent,))
        writer.start()
        assert told_back(connection, len(sent)) == sent
        writer.join()


def test_latency_delays_both_directions(proxy: Proxy, slept: list[float]) -> None:
    proxy.set(Weather(latency=0.1))
    with connected(proxy) as connection:
        connection.sendall(b"x")
        assert told_back(connection, 1) == b"x"
    assert slept == [0.1, 0.1]


def test_bandwidth_bounds_what_passes(proxy: Proxy, slept: list[float]) -> None:
    proxy.set(Weather(bandwidth=100_000))
    with connected(proxy) as connection:
        connection.sendall(b"x" * 20_000)
        assert len(told_back(connection, 20_000)) == 20_000
    assert sum(slept) == pytest.approx(2 * 0.2)


def test_what_is_stalled_arrives_afterwards(proxy: Proxy) -> None:
    with connected(proxy, SOON) as connection:
        proxy.set(Weather(stalled=True))
        connection.sendall(b"late")
        with pytest.raises(TimeoutError):
            connection.recv(4)
        proxy.set(FAIR)
        connection.settimeout(LONG)
        assert told_back(connection, 4) == b"late"


def test_half_open_connections_are_accepted_and_never_answered(proxy: Proxy) -> None:
    proxy.set(Weather(half_open=True))
    with connected(proxy, SOON) as connection:
        connection.sendall(b"hello")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        proxy.reset()
        connection.settimeout(LONG)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_reset_breaks_open_connections_off_and_lets_new_ones_in(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        connection.sendall(b"x")
        assert told_back(connection, 1) == b"x"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with connected(proxy) as connection:
        connection.sendall(b"y")
        assert told_back(connection, 1) == b"y"


def test_the_end_of_either_side_reaches_the_other(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_a_client_that_breaks_off_leaves_nothing_open(proxy: Proxy) -> None:
    with connected(proxy) as connection:
        connection.sendall(b"x")
        assert told_back(connection, 1) == b"x"
        assert proxy.connections == 2
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    assert wait_until(lambda: proxy.connections == 0, LONG)


def test_nobody_behind_it_looks_like_a_server_that_went_away(proxy: Proxy) -> None:
    proxy.target = free_port()
    with connected(proxy) as connection:
        connection.sendall(b"x")
        assert gone(connection)


def gone(connection: socket.socket) -> bool:
    """Whether the other end closed or reset it."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
