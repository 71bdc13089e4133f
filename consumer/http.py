"""The service's HTTP side: metrics, health, readiness, the export, and search. Every request has a thread of its own."""

from __future__ import annotations

import json
import shutil
import socketserver
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any, NamedTuple, Protocol

import msgspec
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from consumer.errors import EncoderFailed, KinstreamError, ServerUnavailable
from consumer.snapshot import write_export
from consumer.types import Export

log = structlog.get_logger(__name__)

MAX_BODY = 16 * 1024 * 1024
"""Bytes of a request's body."""
MAX_CONNECTIONS = 64
"""Requests served at a time; more are closed at once."""
SOCKET_TIMEOUT = 30.0
"""Seconds that a client may keep a connection without moving a byte."""
IDLE_LIMIT = 60.0
"""Seconds after which a main loop that has not turned counts as stuck."""
IN_MEMORY = 16 * 1024 * 1024
GENERATION_HEADER = "Kinstream-Generation"
JSON = "application/json"


class Running(Protocol):
    """What the HTTP side asks of the service, from other threads than its own."""

    def export(self) -> Export:
        """The catalogue between two batches."""

    def search(self, text: str | None, image: bytes | None, k: int) -> list[tuple[str, float]]:
        """The nearest products: (id, cosine similarity), best first."""

    def generation_name(self) -> str:
        """The generation that is served."""

    def checks(self) -> dict[str, str | None]:
        """Readiness: name of a check -> what is wrong, or None."""

    def idle_seconds(self) -> float:
        """Seconds since the main loop last turned."""


class Search(msgspec.Struct):
    """The body of ``POST /search``; the image is base64 of an image file."""

    text: str | None = None
    image: bytes | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10


class Response(NamedTuple):
    """What a route answers; ``body`` is read to its end and closed."""

    status: int
    content_type: str
    body: bytes | IO[bytes]
    headers: Mapping[str, str] = {}


class BadRequest(Exception):
    """The client asked for something that cannot be answered; the message is for them."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


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
    """Serve on a port; 0 picks a free one.

    Raises:
        KinstreamError: the port is taken.
    """
    routes = Routes(running, registry)
    try:
        return HttpServer(_Server((host, port), partial(_Handler, routes)))
    except OSError as error:
        raise KinstreamError(
            f"cannot listen on {host}:{port} ({error.strerror}): set KINSTREAM_METRICS_PORT to a free port, or 0 for none"
        ) from error


class Routes:
    """What is answered where."""

    def __init__(self, running: Running, registry: CollectorRegistry, idle_limit: float = IDLE_LIMIT) -> None:
        self._running = running
        self._registry = registry
        self._idle_limit = idle_limit
        self._routes: dict[str, dict[str, Callable[[Mapping[str, str], bytes], Response]]] = {
            "/metrics": {"GET": self._metrics},
            "/healthz": {"GET": self._healthz},
            "/readyz": {"GET": self._readyz},
            "/export": {"GET": self._export},
            "/search": {"POST": self._search},
        }

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer a request, whatever it is."""
        try:
            return self._route(method, path)(headers, body)
        except BadRequest as error:
            return _json(error.status, {"error": str(error)})
        except ServerUnavailable as error:
            return _json(503, {"error": str(error)})
        except Exception as error:
            log.exception("a request failed", path=path)
            return _json(500, {"error": f"{type(error).__name__}: {error}"})

    def _route(self, method: str, path: str) -> Callable[[Mapping[str, str], bytes], Response]:
        methods = self._routes.get(path.partition("?")[0])
        if methods is None:
            raise BadRequest(f"there is no {path}: try {', '.join(self._routes)}", 404)
        if method not in methods:
            raise BadRequest(f"{path} answers {', '.join(methods)}, not {method}", 405)
        return methods[method]

    def _metrics(self, headers: Mapping[str, str], body: bytes) -> Response:
        encode, content_type = choose_encoder(headers.get("Accept", ""))
        return Response(200, content_type, encode(self._registry))

    def _healthz(self, headers: Mapping[str, str], body: bytes) -> Response:
        idle = self._running.idle_seconds()
        if idle < self._idle_limit:
            return Response(200, "text/plain", b"ok\n")
        return Response(503, "text/plain", f"the main loop has not turned for {idle:.0f} s\n".encode())

    def _readyz(self, headers: Mapping[str, str], body: bytes) -> Response:
        checks = self._running.checks()
        ready = all(reason is None for reason in checks.values())
        return _json(200 if ready else 503, {name: reason or "ok" for name, reason in checks.items()})

    def _export(self, headers: Mapping[str, str], body: bytes) -> Response:
        export = self._running.export()
        file: IO[bytes] = SpooledTemporaryFile(IN_MEMORY)
        write_export(file, export)
        return Response(200, "application/octet-stream", file, {GENERATION_HEADER: export.generation.name})

    def _search(self, headers: Mapping[str, str], body: bytes) -> Response:
        try:
            asked = msgspec.json.decode(body, type=Search)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"{error}: expected {{'text': ..., 'image': base64, 'k': 10}}") from None
        if not asked.text and not asked.image:
            raise BadRequest("text and image are both absent: give one of them")
        try:
            found = self._running.search(asked.text, asked.image, asked.k)
        except EncoderFailed as error:
            raise BadRequest(str(error)) from error
        neighbours = [{"id": id, "score": score} for id, score in found]
        answer = {"generation": self._running.generation_name(), "neighbours": neighbours}
        return _json(200, answer, {GENERATION_HEADER: self._running.generation_name()})


def _json(status: int, value: dict[str, Any], headers: Mapping[str, str] = {}) -> Response:
    return Response(status, JSON, json.dumps(value).encode() + b"\n", headers)


class _Server(ThreadingHTTPServer):
    """Serves a bounded number of connections, and survives every one of them."""

    daemon_threads = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: Callable[..., BaseHTTPRequestHandler]) -> None:
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
            self._send(_json(error.status, {"error": str(error)}))
            return
        self._send(self._routes.answer("POST", self.path, self._headers(), self.rfile.read(length)))

    def log_message(self, format: str, *args: Any) -> None:
        """No access log."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a malformed request in JSON too."""
        self._send(_json(code, {"error": message or "malformed request"}))

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
        with _opened(response.body) as body:
            length = body.seek(0, 2)
            body.seek(0)
            self.send_response(response.status)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(length))
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            shutil.copyfileobj(body, self.wfile)
