"""What may be opened, what is refused, and that nothing that a server does holds anybody up. No network."""

from __future__ import annotations

import base64
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from consumer import https, images
from consumer.https import HttpsFetcher, ImageUnavailable, is_public, resolved
from consumer.images import ImageLoader, ImagePending

PUBLIC = "93.184.216.34"
CAT = "https://cats.example/cat.png"


class Web:
    """A resolver and a transport: answers by host and path; unknown hosts are not resolved."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {"cats.example": [PUBLIC]}
        self.answers: dict[str, Callable[[], httpx2.Response]] = {}
        self.requests: list[httpx2.Request] = []
        self.open = threading.Event()
        self.open.set()

    def resolve(self, host: str, port: int) -> list[str]:
        if host not in self.addresses:
            raise OSError("Name or service not known")
        return self.addresses[host]

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        assert self.open.wait(10)
        self.requests.append(request)
        return self.answers[request.headers["Host"] + request.url.path]()

    def serve(self, place: str, *parts: bytes, status: int = 200, **headers: str) -> None:
        self.answers[place] = lambda: httpx2.Response(status, headers=headers, content=iter(parts))


class Desk:
    """A loader in a made-up world: ``look`` gives the bytes or the outcome's name."""

    def __init__(self, root: Path | None = None) -> None:
        self.web = Web()
        self.now = 100.0
        self.counts: Counter[str] = Counter()
        fetcher = HttpsFetcher(lambda: self.now, self.web.resolve, httpx2.MockTransport(self.web.answer))
        self.loader = ImageLoader(root, lambda outcome: self.counts.update([outcome]), lambda: self.now, fetcher)

    def look(self, uri: str) -> bytes | ImageUnavailable:
        try:
            return self.loader.get(uri)
        except ImagePending:
            self.loader.wait([uri], 10)
        except ImageUnavailable as error:
            return error
        try:
            return self.loader.get(uri)
        except ImageUnavailable as error:
            return error

    def outcome(self, uri: str) -> str:
        found = self.look(uri)
        assert isinstance(found, ImageUnavailable)
        assert self.counts == {found.outcome: 1}
        return found.outcome


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "shoes").mkdir(parents=True)
    (folder / "shoes" / "red one.png").write_bytes(b"red")
    (folder / "inside").symlink_to(folder / "shoes" / "red one.png")
    (folder / "loop").symlink_to(folder / "loop")
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "outside").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize(
    ("uri", "data"),
    [
        ("data:image/png;base64," + base64.b64encode(b"\x89PNG").decode(), b"\x89PNG"),
        ("DATA:;BASE64,QUJD%0ARA%3D%3D", b"ABCD"),
        ("data:,a%20b", b"a b"),
    ],
)
def test_data_uris_are_decoded(uri: str, data: bytes) -> None:
    desk = Desk()
    assert desk.look(uri) == data
    assert desk.counts == {"read": 1}


@pytest.mark.parametrize("uri", ["data:image/png;base64", "data:;base64,A", "data:;base64,QUJ!"])
def test_broken_data_uris_are_invalid_for_good(uri: str) -> None:
    found = Desk().look(uri)
    assert isinstance(found, ImageUnavailable)
    assert (found.outcome, found.final) == ("invalid", True)


@pytest.mark.parametrize("name", ["shoes/red one.png", "inside", "shoes/../inside"])
def test_paths_and_file_uris_under_the_root_are_read(root: Path, name: str) -> None:
    desk = Desk(root)
    uris = [name, str(root / name), f"file://{root / name}", f"file:{name}", f"FILE://localhost{root}/{name}"]
    assert [desk.look(uri.replace(" ", "%20") if ":" in uri else uri) for uri in uris] == [b"red"] * 5
    assert desk.counts == {"read": 5}


@pytest.mark.parametrize(
    ("uri", "outcome"),
    [
        ("../secret", "refused"),
        ("/etc/passwd", "refused"),
        ("file:///etc/passwd", "refused"),
        ("file:///%2e%2e/etc/passwd", "refused"),
        ("file://elsewhere/shoes/red%20one.png", "refused"),
        ("file://[", "refused"),
        ("outside", "refused"),
        ("//cats.example/cat.png", "refused"),
        ("http://cats.example/cat.png", "refused"),
        ("ftp://cats.example/cat.png", "refused"),
        ("gopher:cat", "refused"),
        ("https:cat.png", "refused"),
        ("https:///cat.png", "refused"),
        ("https://[", "missing"),
        ("nothing.png", "missing"),
        ("shoes", "missing"),
        ("pipe", "missing"),
        ("loop", "missing"),
        ("nul\0byte", "missing"),
        ("n" * 5000, "missing"),
    ],
)
def test_nothing_else_is_opened(root: Path, uri: str, outcome: str) -> None:
    desk = Desk(root)
    assert desk.outcome(uri) == outcome
    assert desk.web.requests == []


def test_without_a_root_files_are_refused_with_the_remedy(root: Path) -> None:
    found = Desk().look(str(root / "inside"))
    assert isinstance(found, ImageUnavailable)
    assert found.outcome == "refused"
    assert "KINSTREAM_IMAGE_ROOT" in str(found)


def test_large_files_are_invalid(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (images, https):
        monkeypatch.setattr(module, "MAX_BYTES", 2)
    assert Desk(root).outcome("inside") == "invalid"


def test_https_connects_to_the_checked_address_under_the_hosts_name() -> None:
    desk = Desk()
    desk.web.serve("cats.example:8443/cat.png", b"ca", b"t")
    assert desk.look("https://cats.example:8443/cat.png?v=1#top") == b"cat"
    (request,) = desk.web.requests
    assert str(request.url) == f"https://{PUBLIC}:8443/cat.png?v=1#top"
    assert request.headers["Host"] == "cats.example:8443"
    assert request.extensions["sni_hostname"] == "cats.example"
    assert request.extensions["timeout"] == {"connect": 2, "read": 10, "write": 10, "pool": 10}


def test_a_second_address_is_tried_when_the_first_does_not_answer() -> None:
    desk = Desk()
    desk.web.addresses["cats.example"] = ["2606:2800:220:1::1", PUBLIC]
    replies: Iterator[Any] = iter([httpx2.ConnectTimeout("too slow"), httpx2.Response(200, content=iter([b"cat"]))])

    def reply() -> httpx2.Response:
        answer = next(replies)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    desk.web.answers["cats.example/cat.png"] = reply
    assert desk.look(CAT) == b"cat"
    assert [request.url.host for request in desk.web.requests] == ["2606:2800:220:1::1", PUBLIC]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "240.0.0.1",
     "192.0.0.192", "168.63.129.16", "::1", "::", "fe80::1%eth0", "fd00:ec2::254", "ff0e::1", "fec0::1", "::7f00:1",
     "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a01:203", "2002:7f00:1::", "2001:db8::1"],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_even_beside_a_public_one(address: str) -> None:
    desk = Desk()
    desk.web.addresses["cats.example"] = [PUBLIC, address]
    assert desk.outcome(CAT) == "refused"
    assert desk.web.requests == []


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


def test_the_systems_resolver_sees_through_numbers_in_disguise() -> None:
    assert resolved("2130706433", 443) == ["127.0.0.1"]
    assert resolved("0x7f.1", 443) == ["127.0.0.1"]


def test_redirects_are_followed_and_each_is_checked() -> None:
    desk = Desk()
    desk.web.addresses |= {"cdn.example": ["1.1.1.1"], "inner.example": ["10.0.0.1"]}
    desk.web.serve("cats.example/cat.png", status=302, location="//cdn.example/a")
    desk.web.serve("cdn.example/a", status=307, location="/b")
    desk.web.serve("cdn.example/b", b"cat")
    assert desk.look(CAT) == b"cat"
    assert [request.url.host for request in desk.web.requests] == [PUBLIC, "1.1.1.1", "1.1.1.1"]


@pytest.mark.parametrize(
    ("location", "outcome"),
    [
        ("https://inner.example/x", "refused"),
        ("http://cats.example/x", "refused"),
        ("file:///etc/passwd", "refused"),
        ("https://cats.example:x/", "missing"),
        ("/cat.png", "missing"),
    ],
)
def test_redirects_that_lead_nowhere(location: str, outcome: str) -> None:
    desk = Desk()
    desk.web.addresses["inner.example"] = ["10.0.0.1"]
    desk.web.serve("cats.example/cat.png", status=301, location=location)
    assert desk.outcome(CAT) == outcome
    assert len(desk.web.requests) == (4 if location == "/cat.png" else 1)


@pytest.mark.parametrize("status", [204, 206, 304, 401, 404, 500])
def test_other_answers_are_missing(status: int) -> None:
    desk = Desk()
    desk.web.serve("cats.example/cat.png", b"cat", status=status)
    assert desk.outcome(CAT) == "missing"


@pytest.mark.parametrize("error", [httpx2.ReadTimeout(""), httpx2.ConnectError("refused"), RuntimeError("surprise")])
def test_broken_connections_are_missing(error: Exception) -> None:
    desk = Desk()

    def fail() -> httpx2.Response:
        raise error

    desk.web.answers["cats.example/cat.png"] = fail
    assert desk.outcome(CAT) == "missing"


def test_unknown_hosts_are_missing() -> None:
    assert Desk().outcome("https://dogs.example/dog.png") == "missing"


def test_endless_bodies_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    monkeypatch.setattr(https, "MAX_BYTES", 1000)
    endless = iter(lambda: b"x" * 100, b"")
    desk.web.answers["cats.example/cat.png"] = lambda: httpx2.Response(200, content=endless)
    assert desk.outcome(CAT) == "invalid"


def test_dripping_bodies_are_given_up() -> None:
    desk = Desk()

    def drip() -> Iterator[bytes]:
        while True:
            desk.now += 3
            yield b"x"

    desk.web.answers["cats.example/cat.png"] = lambda: httpx2.Response(200, content=drip())
    assert desk.outcome(CAT) == "missing"
    assert desk.now == 112


def test_dripping_headers_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is shut down while the transport waits for it."""
    monkeypatch.setattr(https, "TOTAL_SECONDS", 0.05)
    ours, theirs = socket.socketpair()

    def stuck(request: httpx2.Request) -> httpx2.Response:
        stream = SimpleNamespace(get_extra_info={"socket": ours}.get)
        request.extensions["trace"]("connection.connect_tcp.complete", {"return_value": stream})
        raise httpx2.ReadError(f"got {ours.recv(1)!r}")

    fetcher = HttpsFetcher(lambda: 0.0, lambda host, port: [PUBLIC], httpx2.MockTransport(stuck))
    with ours, theirs, pytest.raises(ImageUnavailable, match="got b''"):
        fetcher.fetch(CAT)


def test_get_never_waits_and_fetches_once() -> None:
    desk = Desk()
    desk.web.serve("cats.example/cat.png", b"cat")
    desk.web.open.clear()
    for start in (False, True, True):
        with pytest.raises(ImagePending):
            desk.loader.get(CAT, start)
    desk.loader.wait([CAT], 0.01)
    assert desk.counts == {}
    desk.web.open.set()
    desk.loader.wait([CAT], 10)
    assert [desk.loader.get(CAT) for _ in range(3)] == [b"cat"] * 3
    assert len(desk.web.requests) == 1
    assert desk.counts == {"read": 1, "cached": 2}


def test_without_start_nothing_is_fetched() -> None:
    desk = Desk()
    with pytest.raises(ImagePending):
        desk.loader.get(CAT, start=False)
    desk.loader.wait([CAT], 10)
    assert desk.web.requests == []


def test_a_failure_stands_for_a_while_and_is_then_tried_again() -> None:
    desk = Desk()
    desk.web.serve("cats.example/cat.png", status=404)
    assert isinstance(desk.look(CAT), ImageUnavailable)
    desk.web.serve("cats.example/cat.png", b"cat")
    assert isinstance(desk.look(CAT), ImageUnavailable)
    desk.now += images.FAILURE_SECONDS
    assert desk.look(CAT) == b"cat"
    assert desk.counts == {"missing": 2, "read": 1}


def test_bytes_that_are_no_image_are_forgotten() -> None:
    desk = Desk()
    desk.web.serve("cats.example/cat.png", b"<html>")
    assert desk.look(CAT) == b"<html>"
    assert desk.loader.invalid(CAT, "not an image").outcome == "invalid"
    assert isinstance(desk.look(CAT), ImageUnavailable)
    assert desk.counts == {"read": 1, "invalid": 2}


def test_the_cache_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "CACHE_BYTES", 10)
    desk = Desk()
    for name in "abc":
        desk.web.serve(f"cats.example/{name}", name.encode() * 4)
    uris = [f"https://cats.example/{name}" for name in "abc"]
    for uri in (uris[0], uris[1], uris[0], uris[2]):
        desk.look(uri)
    fetched = len(desk.web.requests)
    assert desk.look(uris[0]) == b"aaaa"
    assert len(desk.web.requests) == fetched == 3
    assert desk.look(uris[1]) == b"bbbb"
    assert len(desk.web.requests) == 4
