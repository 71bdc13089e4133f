"""Images over ``https:``, from addresses of the public internet only.

The name is resolved here, all its addresses are checked, and the connection is made to a checked one, so that no second
look-up can lead elsewhere. Redirects are followed by hand, each checked like the first address.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Literal, TypeAlias

import httpx2

from model.images import MAX_BYTES

Outcome = Literal["missing", "refused", "invalid"]
Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
"""The addresses of (host, port), as text; raises OSError."""

CONNECT_SECONDS = 2.0
TOTAL_SECONDS = 10.0
MAX_REDIRECTS = 3
MAX_ADDRESSES = 3
"""Addresses of one host that are tried when it does not answer."""
CLOSED = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))
"""Global by their number, but clouds have services for their own machines there."""
NAT64 = IPv6Network("64:ff9b::/96")
SECRET_PARTS = re.compile(r"(?<=//)[^/?#]*@|\?.*", re.DOTALL)
"""User and password, and the query, in which signed addresses carry their signature."""
HEADERS = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "kinstream"}


class ImageUnavailable(Exception):
    """The image cannot be had; ``final`` says that the URI itself is to blame, so that trying again is of no use."""

    def __init__(self, outcome: Outcome, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.final = final


def resolved(host: str, port: int) -> list[str]:
    """The system's answer, best first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class HttpsFetcher:
    """Fetches from public addresses. Each request has a connection of its own: hosts may share an address."""

    def __init__(
        self,
        clock: Callable[[], float],
        resolve: Resolve = resolved,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """``transport`` connects to the host of a request's URL, which is an address; None for the network itself."""
        self._clock = clock
        self._resolve = resolve
        self._given = transport

    def fetch(self, uri: str) -> bytes:
        """The body, after at most MAX_REDIRECTS redirects, each checked like the first address.

        Raises:
            ImageUnavailable: it cannot be had.
        """
        deadline = self._clock() + TOTAL_SECONDS
        try:
            url = httpx2.URL(uri)
        except httpx2.InvalidURL as error:
            raise ImageUnavailable("refused", f"{shortened(uri)} is not a URL: {error}", final=True) from error
        for _ in range(1 + MAX_REDIRECTS):
            found = self._hop(url, deadline)
            if isinstance(found, bytes):
                return found
            url = found
        raise ImageUnavailable("missing", f"{url.host}: more than {MAX_REDIRECTS} redirects")

    @cached_property
    def _transport(self) -> httpx2.BaseTransport:
        """Made when it is needed: reading the certificates takes a while. No proxy, and no connection is kept."""
        return self._given or httpx2.HTTPTransport(limits=httpx2.Limits(max_keepalive_connections=0))

    def _hop(self, url: httpx2.URL, deadline: float) -> bytes | httpx2.URL:
        if url.scheme != "https" or not url.host:
            raise ImageUnavailable("refused", f"{shortened(str(url))}: only https: is opened")
        if url.userinfo:
            raise ImageUnavailable("refused", f"{shortened(str(url))} names a user: send an address without one")
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
            raise ImageUnavailable(
                "refused", f"{host} has the address {', '.join(private)}, only public ones are opened"
            )
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
            check_size(len(body), str(url))
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


def is_public(text: str) -> bool:
    """Whether an address, or the IPv4 address inside it, is one of the public internet."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.is_site_local:
            return False
        address = _inner(address)
    if any(address in network for network in CLOSED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: IPv6Address) -> IPv4Address | IPv6Address:
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def shortened(uri: str) -> str:
    """The URI as an error may show it: not too long, and without what may be secret."""
    shown = SECRET_PARTS.sub("…", uri)
    return repr(shown if len(shown) <= 100 else f"{shown[:99]}…")


def check_size(size: int, uri: str) -> None:
    """Raise ImageUnavailable for more bytes than an image may have."""
    if size > MAX_BYTES:
        raise ImageUnavailable("invalid", f"{shortened(uri)} has more than {MAX_BYTES} bytes")
