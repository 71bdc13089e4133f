"""The HTTP server: a bounded number of connections, a thread each, and nothing that a client can break."""

from __future__ import annotations

import shutil
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from consumer.errors import KinstreamError
from consumer.routes import BadRequest, Response, Routes, Running, json_response

__all__ = ["HttpServer", "Running", "serve"]

log = structlog.get_logger(__name__)

MAX_BODY = 16 * 1024 * 1024
"""Bytes of a request's body."""
MAX_CONNECTIONS = 32
"""Requests served at a time; more are closed at once."""
SOCKET_TIMEOUT = 30.0
"""Seconds that a client may keep a connection without moving a byte."""
MAX_DRAINED = 4 * MAX_BODY
"""Bytes of a refused body that are still taken, so that its sender gets to read why."""


class HttpServer:
    """A server in a daemon thread.

    Attributes:
        port: the port it listens on.
    """

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self.port: int = server.server_address[1]
        self._thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; requests in progress are left to their threads."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(port: int, running: Running, registry: CollectorRegistry, host: str = "127.0.0.1") -> HttpServer:
    """Serve on a port of an address of this machine; port 0 picks a free one.

    Raises:
        KinstreamError: the port is taken, or the address is not one of this machine.
    """
    routes = Routes(running, registry)
    try:
        return HttpServer(_Server((host, port), partial(_Handler, routes)))
    except OSError as error:
        raise KinstreamError(
            f"cannot listen on {host}:{port} ({error.strerror}): set KINSTREAM_METRICS_HOST to an address of this machine, "
            "and KINSTREAM_METRICS_PORT to a free port, or 0 for none"
        ) from error


class _Server(ThreadingHTTPServer):
    """Serves a bounded number of connections, and survives every one of them."""

    daemon_threads = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a connection broke", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server_version = "kinstream"
    sys_version = ""
    timeout = SOCKET_TIMEOUT

    def __init__(self, routes: Routes, *connection: Any) -> None:
        self._routes = routes
        super().__init__(*connection)

    def do_GET(self) -> None:
        self._send(self._routes.answer("GET", self.path, self._headers(), b""))

    def do_POST(self) -> None:
        try:
            length = self._length()
        except BadRequest as error:
            self._send(json_response(error.status, {"error": str(error)}))
            self._drain()
            return
        self._send(self._routes.answer("POST", self.path, self._headers(), self.rfile.read(length)))

    def _drain(self) -> None:
        self.connection.shutdown(socket.SHUT_WR)
        left = MAX_DRAINED
        while left > 0 and self.rfile.read(65536):
            left -= 65536

    def log_message(self, format: str, *args: Any) -> None:
        """No access log."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a malformed request in JSON too."""
        self._send(json_response(code, {"error": message or "malformed request"}))

    def _headers(self) -> Mapping[str, str]:
        return {name.title(): value for name, value in self.headers.items()}

    def _length(self) -> int:
        text = self.headers.get("Content-Length", "")
        if not text.isascii() or not text.isdigit():
            raise BadRequest(f"Content-Length is {text!r}: send the length of the body in bytes", 411)
        if len(text) > len(str(MAX_BODY)) or int(text) > MAX_BODY:
            raise BadRequest(f"the body has {text[:20]} bytes, {MAX_BODY} are allowed: send a smaller image", 413)
        return int(text)

    def _send(self, response: Response) -> None:
        with BytesIO(response.body) if isinstance(response.body, bytes) else response.body as body:
            length = body.seek(0, 2)
            body.seek(0)
            self.send_response(response.status)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(length))
            for name, value in response.headers:
                self.send_header(name, value)
            self.end_headers()
            shutil.copyfileobj(body, self.wfile)
