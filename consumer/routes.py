"""What the service's HTTP side answers: metrics, health, readiness, the export, and search."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any, NamedTuple, Protocol

import msgspec
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from consumer.errors import KinstreamError, ServerUnavailable
from consumer.export import write_export
from consumer.types import Export

log = structlog.get_logger(__name__)

IDLE_LIMIT = 60.0
"""Seconds after which a main loop that has not turned counts as stuck."""
IN_MEMORY = 16 * 1024 * 1024
"""Bytes of an export that are not worth a file."""
GENERATION_HEADER = "Kinstream-Generation"


class Running(Protocol):
    """What the HTTP side asks of the service, from other threads than its own."""

    def export(self) -> Export:
        """The catalogue between two batches."""

    def search(self, text: str | None, image: bytes | None, k: int) -> list[tuple[str, float]]:
        """The nearest products: (id, score), best first."""

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
    headers: tuple[tuple[str, str], ...] = ()


class BadRequest(ValueError):
    """The client asked for something that cannot be answered; the message is for them."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


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
        """Answer a request, whatever it is; every answer names the generation that is served."""
        response = self._attempt(method, path, headers, body)
        return response._replace(headers=((GENERATION_HEADER, self._running.generation_name()),))

    def _attempt(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        try:
            return self._route(method, path)(headers, body)
        except BadRequest as error:
            return json_response(error.status, {"error": str(error)})
        except ServerUnavailable as error:
            return json_response(503, {"error": str(error)})
        except Exception as error:
            log.exception("a request failed", path=path)
            return json_response(500, {"error": f"{type(error).__name__}: {error}"})

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
        return json_response(200 if ready else 503, {name: reason or "ok" for name, reason in checks.items()})

    def _export(self, headers: Mapping[str, str], body: bytes) -> Response:
        export = self._running.export()
        file: IO[bytes] = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - closed once sent
        write_export(file, export)
        return Response(200, "application/octet-stream", file)

    def _search(self, headers: Mapping[str, str], body: bytes) -> Response:
        try:
            asked = msgspec.json.decode(body, type=Search)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"{error}: expected {{'text': ..., 'image': base64, 'k': 10}}") from None
        if not asked.text and not asked.image:
            raise BadRequest("text and image are both absent: give one of them")
        try:
            found = self._running.search(asked.text, asked.image, asked.k)
        except ServerUnavailable:
            raise
        except KinstreamError as error:
            raise BadRequest(str(error)) from error
        neighbours = [{"id": id, "score": score} for id, score in found]
        answer = {"generation": self._running.generation_name(), "neighbours": neighbours}
        return json_response(200, answer)


def json_response(status: int, value: dict[str, Any]) -> Response:
    """Answer in JSON, on one line."""
    return Response(status, "application/json", json.dumps(value).encode() + b"\n")
