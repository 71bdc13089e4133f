"""The HTTP side, over a real socket, with a service made up for the test."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import httpx2
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from consumer import http
from consumer.errors import EncoderFailed, KinstreamError, ServerUnavailable


@pytest.fixture
def client(server: http.HttpServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=10) as client:
        yield client


def test_metrics_in_the_format_that_was_asked_for(client: httpx2.Client) -> None:
    plain = client.get("/metrics")
    assert plain.status_code == 200
    assert plain.headers["content-type"].startswith("text/plain")
    assert "kinstream_events_total 3.0" in plain.text
    newer = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert newer.headers["content-type"].startswith("application/openmetrics-text")
    assert newer.text.endswith("# EOF\n")


def test_health_follows_the_main_loop(client: httpx2.Client, running: Any) -> None:
    assert (client.get("/healthz").status_code, client.get("/healthz").text) == (200, "ok\n")
    running.idle = 61.0
    stuck = client.get("/healthz")
    assert stuck.status_code == 503
    assert "61 s" in stuck.text


def test_readiness_names_what_is_wrong(client: httpx2.Client, running: Any) -> None:
    assert client.get("/readyz").json() == {"caught_up": "ok", "kafka": "ok", "redis": "ok"}
    running.reasons["redis"] = "no answer"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"caught_up": "ok", "kafka": "ok", "redis": "no answer"}


def test_the_export_is_a_file_of_numpy(client: httpx2.Client) -> None:
    answer = client.get("/export")
    assert answer.headers["kinstream-generation"] == "g1"
    with np.load(BytesIO(answer.content), allow_pickle=False) as arrays:
        assert arrays["ids"].tolist() == ["a", "b", "ü"]
        assert arrays["vectors"].dtype == np.float32
        assert arrays["vectors"].shape == (3, 4)
        assert arrays["available"].tolist() == [True, False, True]


def test_search_passes_text_image_and_k(client: httpx2.Client, running: Any) -> None:
    image = bytes(range(256))
    body = {"text": "red shoes", "image": base64.b64encode(image).decode(), "k": 2}
    answer = client.post("/search", json=body)
    assert answer.json() == {
        "generation": "g1",
        "neighbours": [{"id": "a", "score": 0.75}, {"id": "ü", "score": 0.5}],
    }
    client.post("/search", json={"text": "blue"})
    assert running.asked == [("red shoes", image, 2), ("blue", None, 10)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"text": ""}',
        b'{"text": 3}',
        b'{"text": "a", "k": 0}',
        b'{"text": "a", "k": 1001}',
        b'{"image": "%%%"}',
        b'{"text": "\xff"}',
    ],
)
def test_a_bad_search_is_refused_in_one_line(client: httpx2.Client, running: Any, body: bytes) -> None:
    answer = client.post("/search", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert answer.text.count("\n") == 1
    assert running.asked == []


@pytest.mark.parametrize(
    ("failure", "status"),
    [(EncoderFailed("no model"), 400), (ServerUnavailable("busy"), 503), (RuntimeError("odd"), 500)],
)
def test_a_search_that_fails_says_why(client: httpx2.Client, running: Any, failure: Exception, status: int) -> None:
    running.failure = failure
    answer = client.post("/search", json={"text": "a"})
    assert answer.status_code == status
    assert str(failure) in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/../etc/passwd", 404),
        ("POST", "/metrics", 405),
        ("GET", "/search", 405),
        ("PUT", "/export", 501),
    ],
)
def test_other_requests_are_refused(client: httpx2.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path, content=b"" if method == "POST" else None)
    assert answer.status_code == status
    assert "error" in answer.json()


def test_a_query_string_does_no_harm(client: httpx2.Client) -> None:
    assert client.get("/healthz?verbose=1").status_code == 200


def test_a_body_that_is_too_large_is_not_read(client: httpx2.Client, running: Any) -> None:
    answer = client.post("/search", content=b"x" * (http.MAX_BODY + 1))
    assert answer.status_code == 413
    assert running.asked == []


@pytest.mark.parametrize("length", [None, "-1", "ten", "1e3", "9" * 400])
def test_a_body_without_a_sound_length_is_refused(server: http.HttpServer, length: str | None) -> None:
    header = "" if length is None else f"Content-Length: {length}\r\n"
    answer = talk(server.port, f"POST /search HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode())
    assert answer.split(b" ")[1] in (b"411", b"413")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n",
        b"",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"POST /search HTTP/1.1\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_garbage_does_not_stop_the_server(server: http.HttpServer, client: httpx2.Client, garbage: bytes) -> None:
    talk(server.port, garbage)
    assert client.get("/healthz").status_code == 200


def test_more_connections_than_are_served_are_closed(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_CONNECTIONS", 1)
    server = http.serve(0, running, CollectorRegistry())
    with socket.create_connection(("127.0.0.1", server.port), timeout=10):
        assert talk(server.port, b"GET /healthz HTTP/1.1\r\n\r\n") == b""
    server.close()


def test_a_port_that_is_taken(server: http.HttpServer, running: Any) -> None:
    with pytest.raises(KinstreamError, match="KINSTREAM_METRICS_PORT"):
        http.serve(server.port, running, CollectorRegistry())


def test_nothing_is_written_about_access(client: httpx2.Client, capfd: pytest.CaptureFixture[str]) -> None:
    client.get("/healthz")
    assert capfd.readouterr() == ("", "")


def talk(port: int, data: bytes) -> bytes:
    """Send, stop sending, and read to the end; a reset is an end too."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        answer = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                answer += part
        except OSError:
            pass
        return answer


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "localhost"])
def test_it_listens_where_it_is_told(running: Any, host: str) -> None:
    served = http.serve(0, running, CollectorRegistry(), host)
    named = f"[{host}]" if ":" in host else host
    assert httpx2.get(f"http://{named}:{served.port}/healthz", trust_env=False).text == "ok\n"
    served.close()


def test_an_address_of_another_machine_is_named_with_the_remedy(running: Any) -> None:
    with pytest.raises(KinstreamError, match=r"192\.0\.2\.1:1 .* KINSTREAM_METRICS_HOST"):
        http.serve(1, running, CollectorRegistry(), "192.0.2.1")
