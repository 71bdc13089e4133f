"""Product images, from what a product names to bytes: ``data:`` URIs, files under one folder, and ``https:``.

Nothing else is opened. ``https:`` goes to public addresses only: the name is resolved here, all its addresses are checked,
and the connection is made to a checked one, so that no second look-up can lead elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import re
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from contextlib import closing, suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import httpx2

from model.images import MAX_BYTES

Outcome = Literal["missing", "refused", "invalid"]
Clock: TypeAlias = Callable[[], float]
Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
"""The addresses of (host, port), as text; raises OSError."""

CONNECT_SECONDS = 2.0
TOTAL_SECONDS = 10.0
MAX_REDIRECTS = 3
MAX_ADDRESSES = 3
"""Addresses of one host that are tried when it does not answer."""
CACHE_BYTES = 64 * 1024 * 1024
WORKERS = 16
MAX_JOBS = 1024
FAILURE_SECONDS = 30.0
"""How long a failed fetch stands for all products that name the image."""
NAT64 = IPv6Network("64:ff9b::/96")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "kinstream"}


class ImageUnavailable(Exception):
    """The image cannot be had; ``final`` says that the URI itself is to blame, so that trying again is of no use."""

    def __init__(self, outcome: Outcome, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.final = final


class ImagePending(Exception):
    """The image is being fetched, or waits for its turn: ask again."""


class ImageLoader:
    """Gives images by URI. Local ones and ``data:`` are read at once, ``https:`` in threads.

    One thread calls; ``count`` is told each outcome: ``read``, ``cached``, ``missing``, ``refused`` or ``invalid``.
    """

    def __init__(
        self,
        root: Path | None,
        count: Callable[[str], None],
        clock: Clock,
        resolve: Resolve | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """``root`` is the folder that paths are relative to and may not leave; None refuses all files."""
        self._root = root
        self._count = count
        self._clock = clock
        self._https = HttpsFetcher(clock, resolve or resolved, transport or _direct())
        self._changed = threading.Condition()
        self._cache = _Cache()
        self._failures: dict[str, tuple[float, ImageUnavailable]] = {}
        self._jobs: set[str] = set()
        self._queue: SimpleQueue[str] = SimpleQueue()
        self._workers = 0

    def get(self, uri: str, start: bool = True) -> bytes:
        """The image's bytes, whatever they are; ``start`` allows to begin a fetch.

        Raises:
            ImageUnavailable: it cannot be had.
            ImagePending: it is being fetched, or would be.
        """
        try:
            data, outcome = self._found(uri, start)
        except ImageUnavailable as error:
            self._count(error.outcome)
            raise
        self._count(outcome)
        return data

    def wait(self, uris: Collection[str], seconds: float) -> None:
        """Wait until none of the URIs is being fetched any more, but no longer than so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs.isdisjoint(uris), seconds)

    def invalid(self, uri: str, reason: str) -> ImageUnavailable:
        """Take back bytes that are no image; returns what get() says from now on."""
        self._count("invalid")
        failure = ImageUnavailable("invalid", f"{_short(uri)}: {reason}", final=_scheme(uri) == "data")
        with self._changed:
            if self._cache.drop(uri):
                self._failed(uri, failure)
        return failure

    def _found(self, uri: str, start: bool) -> tuple[bytes, str]:
        scheme = _scheme(uri)
        if scheme == "https":
            return self._remote(uri, start)
        if scheme == "data":
            return _decoded(uri), "read"
        if scheme in ("", "file"):
            return self._local(_path(uri) if scheme else uri), "read"
        reason = f"{_short(uri)}: {scheme}: is not opened, use https:, file:, data: or a path under the image root"
        raise ImageUnavailable("refused", reason, final=True)

    def _local(self, name: str) -> bytes:
        if self._root is None:
            raise ImageUnavailable("refused", f"{_short(name)}: there is no image root, set KINSTREAM_IMAGE_ROOT")
        try:
            path = (self._root / name).resolve()
            if not path.is_relative_to(self._root.resolve()):
                raise ImageUnavailable("refused", f"{_short(name)} leads out of KINSTREAM_IMAGE_ROOT={self._root}")
            if not path.is_file():
                raise ImageUnavailable("missing", f"{_short(name)}: no such file under {self._root}")
            with path.open("rb") as file:
                return _limited(file.read(MAX_BYTES + 1), name)
        except (OSError, ValueError, RuntimeError) as error:  # a NUL byte is a ValueError, a loop of links the last
            raise ImageUnavailable("missing", f"{_short(name)} cannot be read: {error}") from error

    def _remote(self, uri: str, start: bool) -> tuple[bytes, str]:
        with self._changed:
            cached = self._cache.get(uri)
            if cached is not None:
                return cached
            until, failure = self._failures.get(uri, (0.0, None))
            if failure is not None and self._clock() < until:
                raise ImageUnavailable(failure.outcome, str(failure), final=failure.final)
            if start and uri not in self._jobs and len(self._jobs) < MAX_JOBS:
                self._start(uri)
        raise ImagePending(f"{_short(uri)} is not fetched yet")

    def _start(self, uri: str) -> None:
        self._jobs.add(uri)
        self._queue.put(uri)
        if self._workers < WORKERS:
            self._workers += 1
            threading.Thread(target=self._work, name="images", daemon=True).start()

    def _work(self) -> None:
        while True:
            uri = self._queue.get()
            result = self._fetched(uri)
            with self._changed:
                self._jobs.remove(uri)
                if isinstance(result, bytes):
                    self._cache.put(uri, result)
                else:
                    self._failed(uri, result)
                self._changed.notify_all()

    def _fetched(self, uri: str) -> bytes | ImageUnavailable:
        try:
            return self._https.fetch(uri)
        except ImageUnavailable as failure:
            return failure
        except Exception as error:  # whatever a hostile server provokes costs one image, not the thread
            return ImageUnavailable("missing", f"{_short(uri)}: {error!r}")

    def _failed(self, uri: str, failure: ImageUnavailable) -> None:
        """Remember a failure, and forget those that are over: the oldest come first."""
        now = self._clock()
        while self._failures and (oldest := next(iter(self._failures))) and self._failures[oldest][0] <= now:
            del self._failures[oldest]
        self._failures.pop(uri, None)
        self._failures[uri] = (now + FAILURE_SECONDS, failure)


class HttpsFetcher:
    """Fetches from public addresses. Each request has a connection of its own: hosts may share an address."""

    def __init__(self, clock: Clock, resolve: Resolve, transport: httpx2.BaseTransport) -> None:
        self._clock = clock
        self._resolve = resolve
        self._transport = transport

    def fetch(self, uri: str) -> bytes:
        """The body, after at most MAX_REDIRECTS redirects, each checked like the first address.

        Raises:
            ImageUnavailable: it cannot be had.
        """
        deadline = self._clock() + TOTAL_SECONDS
        try:
            url = httpx2.URL(uri)
        except httpx2.InvalidURL as error:
            raise ImageUnavailable("refused", f"{_short(uri)} is not a URL: {error}", final=True) from error
        for _ in range(1 + MAX_REDIRECTS):
            found = self._hop(url, deadline)
            if isinstance(found, bytes):
                return found
            url = found
        raise ImageUnavailable("missing", f"{url.host}: more than {MAX_REDIRECTS} redirects")

    def _hop(self, url: httpx2.URL, deadline: float) -> bytes | httpx2.URL:
        if url.scheme != "https" or not url.host:
            raise ImageUnavailable("refused", f"{_short(str(url))}: only https: is opened")
        addresses = self._addresses(url)
        with _Cutter(self._left(url, deadline)) as cutter:
            try:
                with closing(self._answer(url, addresses, cutter)) as response:
                    return self._received(url, response, deadline)
            except httpx2.TransportError as error:
                raise ImageUnavailable("missing", f"{url.host}: {str(error) or type(error).__name__}") from error

    def _addresses(self, url: httpx2.URL) -> Sequence[str]:
        host = url.raw_host.decode("ascii")
        try:
            addresses = self._resolve(host, url.port or 443)
        except (OSError, UnicodeError) as error:
            raise ImageUnavailable("missing", f"{host} is not known: {error}") from error
        private = [address for address in addresses if not is_public(address)]
        if private or not addresses:
            raise ImageUnavailable("refused", f"{host} has the address {', '.join(private)}, only public ones are opened")
        return addresses[:MAX_ADDRESSES]

    def _answer(self, url: httpx2.URL, addresses: Sequence[str], cutter: _Cutter) -> httpx2.Response:
        for address in addresses[:-1]:
            with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
                return self._ask(url, address, cutter)
        return self._ask(url, addresses[-1], cutter)

    def _ask(self, url: httpx2.URL, address: str, cutter: _Cutter) -> httpx2.Response:
        extensions = {
            "timeout": httpx2.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS).as_dict(),
            "sni_hostname": url.raw_host.decode("ascii"),
            "trace": cutter.trace,
        }
        headers = HEADERS | {"Host": url.netloc.decode("ascii")}
        request = httpx2.Request("GET", url.copy_with(host=address), headers=headers, extensions=extensions)
        return self._transport.handle_request(request)

    def _received(self, url: httpx2.URL, response: httpx2.Response, deadline: float) -> bytes | httpx2.URL:
        if response.has_redirect_location:
            try:
                return url.join(response.headers["Location"])
            except httpx2.InvalidURL as error:
                raise ImageUnavailable("missing", f"{url.host} redirects to what is no URL: {error}") from error
        if response.status_code != httpx2.codes.OK:
            raise ImageUnavailable("missing", f"{url.host} answers {response.status_code}")
        body = bytearray()
        for part in response.iter_raw():
            body += part
            _limited(body, str(url))
            self._left(url, deadline)
        self._left(url, deadline)
        return bytes(body)

    def _left(self, url: httpx2.URL, deadline: float) -> float:
        left = deadline - self._clock()
        if left <= 0:
            raise ImageUnavailable("missing", f"{url.host} takes more than {TOTAL_SECONDS:g} s")
        return left


class _Cutter:
    """Shuts a connection down in time: a server that sends a byte now and then would hold its thread for ever."""

    def __init__(self, seconds: float) -> None:
        self._socket: socket.socket | None = None
        self._over = False
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Cutter:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Told of each step of a request; two of them come with a new socket."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._over:
                self._cut()

    def _cut(self) -> None:
        self._over = True
        if self._socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Cache:
    """The bytes used last, at most CACHE_BYTES."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[bytes, str]] = OrderedDict()
        self._bytes = 0

    def get(self, uri: str) -> tuple[bytes, str] | None:
        """The bytes, and ``read`` the first time, then ``cached``."""
        entry = self._entries.pop(uri, None)
        if entry is not None:
            self._entries[uri] = (entry[0], "cached")
        return entry

    def put(self, uri: str, data: bytes) -> None:
        self._entries[uri] = (data, "read")
        self._bytes += len(data)
        while self._bytes > CACHE_BYTES:
            self.drop(next(iter(self._entries)))

    def drop(self, uri: str) -> bool:
        """Forget an image; returns whether it was there."""
        entry = self._entries.pop(uri, None)
        self._bytes -= len(entry[0]) if entry else 0
        return entry is not None


def is_public(text: str) -> bool:
    """Whether an address, or the IPv4 address inside it, is one of the public internet."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.is_site_local:
            return False
        address = _inner(address)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: IPv6Address) -> IPv4Address | IPv6Address:
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def resolved(host: str, port: int) -> list[str]:
    """The system's answer, best first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _direct() -> httpx2.BaseTransport:
    """No proxy, and no connection kept."""
    return httpx2.HTTPTransport(limits=httpx2.Limits(max_keepalive_connections=0))


def _scheme(uri: str) -> str:
    match = SCHEME.match(uri)
    return match[1].lower() if match else ""


def _short(uri: str) -> str:
    return repr(uri if len(uri) <= 100 else f"{uri[:99]}…")


def _limited(data: bytes | bytearray, name: str) -> bytes:
    if len(data) > MAX_BYTES:
        raise ImageUnavailable("invalid", f"{_short(name)} has more than {MAX_BYTES} bytes")
    return data  # type: ignore[return-value]


def _path(uri: str) -> str:
    """The path of a ``file:`` URI."""
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ImageUnavailable("refused", f"{_short(uri)} is not a URI: {error}", final=True) from error
    if parts.netloc not in ("", "localhost"):
        raise ImageUnavailable("refused", f"{_short(uri)} names another host: use file:///path", final=True)
    return unquote(parts.path)


def _decoded(uri: str) -> bytes:
    """The bytes of a ``data:`` URI."""
    head, comma, body = uri.partition(",")
    if not comma:
        raise ImageUnavailable("invalid", f"{_short(uri)} has no comma before its data", final=True)
    data = unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return data
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error as error:
        raise ImageUnavailable("invalid", f"{_short(uri)} is not base64: {error}", final=True) from error
