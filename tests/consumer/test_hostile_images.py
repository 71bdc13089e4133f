"""Images that mean harm: refused, whatever they look like, and the product that names one lives on."""

from __future__ import annotations

import base64
import http.server
import ssl
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import httpx2
import numpy as np
import pytest
import trustme
from PIL import Image

from consumer import https
from consumer.bundled import BundledEncoder
from consumer.catalogue import Catalogue
from consumer.exact import ExactIndex
from consumer.https import HttpsFetcher, ImageUnavailable, resolved
from consumer.images import ImageLoader
from consumer.neighbours import NeighbourGraph
from consumer.pipeline import Pipeline
from consumer.types import Batch, Record, Vectors
from model.bundle import ImageSpec
from model.images import pixels
from producer.events import Product, encode_product

PUBLIC = "93.184.216.34"
SPEC = ImageSpec(height=2, width=2, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
LOCAL_NAMES = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "0", "0.0.0.0",
    "localhost", "LOCALHOST", "127。0。0。1", "\uff11\uff12\uff17.0.0.1", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]",
    "[fe80::1]", "[fd00:ec2::254]", "169.254.169.254", "2852039166", "0xA9FEA9FE", "0251.0376.0251.0376",
    "[::ffff:169.254.169.254]", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1",
]  # fmt: skip
"""This machine, its neighbours, and the metadata service of a cloud, in all spellings."""


def offline(request: httpx2.Request) -> httpx2.Response:
    raise AssertionError(f"{request.url} was opened")


def refusal(fetcher: HttpsFetcher, uri: str) -> ImageUnavailable:
    with pytest.raises(ImageUnavailable) as refused:
        fetcher.fetch(uri)
    return refused.value


@pytest.mark.parametrize("host", LOCAL_NAMES)
def test_no_spelling_of_a_private_address_is_opened(host: str) -> None:
    """With the system's own resolver, which reads more spellings than one would think."""
    fetcher = HttpsFetcher(lambda: 0.0, resolved, httpx2.MockTransport(offline))
    refused = refusal(fetcher, f"https://{host}/latest/meta-data/")
    assert refused.outcome == "refused"


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:hunter2@cats.example/cat.png",
        "https://hunter2@cats.example/cat.png?token=hunter2",
        "https://user:hunter2@127.0.0.1/cat.png",
        "https://cats.example:443\\@hunter2@127.0.0.1/",
    ],
)
def test_credentials_are_refused_and_not_shown(uri: str) -> None:
    fetcher = HttpsFetcher(lambda: 0.0, lambda host, port: [PUBLIC], httpx2.MockTransport(offline))
    refused = refusal(fetcher, uri)
    assert refused.outcome == "refused"
    assert "hunter2" not in str(refused)


def test_a_redirect_to_credentials_is_refused() -> None:
    def redirect(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(302, headers={"Location": "https://user:hunter2@cats.example/"})

    fetcher = HttpsFetcher(lambda: 0.0, lambda host, port: [PUBLIC], httpx2.MockTransport(redirect))
    refused = refusal(fetcher, "https://cats.example/cat.png")
    assert refused.outcome == "refused"
    assert "hunter2" not in str(refused)


def test_signed_addresses_keep_their_signature_out_of_errors(tmp_path: Path) -> None:
    loader = ImageLoader(tmp_path, lambda outcome: None, lambda: 0.0)
    for uri in ("ftp://cats.example/cat.png?signature=hunter2", "https://cats.example/cat.png?signature=hunter2"):
        with pytest.raises(Exception, match=r"cat\.png") as told:
            loader.get(uri, start=False)
        assert "hunter2" not in str(told.value)


def test_a_name_that_changes_its_address_after_the_check_leads_nowhere_else() -> None:
    """DNS rebinding: what was checked is what is connected to, and nothing is looked up twice."""
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    opened: list[str] = []

    def serve(request: httpx2.Request) -> httpx2.Response:
        opened.append(request.url.host)
        return httpx2.Response(200, content=iter([b"cat"]))

    fetcher = HttpsFetcher(lambda: 0.0, lambda host, port: next(answers), httpx2.MockTransport(serve))
    assert fetcher.fetch("https://cats.example/cat.png") == b"cat"
    assert opened == [PUBLIC]
    assert refusal(fetcher, "https://cats.example/cat.png").outcome == "refused"
    assert opened == [PUBLIC]


def test_compressed_answers_are_not_unpacked() -> None:
    """A few kilobytes on the wire must not become gigabytes here."""
    packed = zlib.compress(bytes(1_000_000), wbits=31)

    def serve(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"Content-Encoding": "gzip"}, content=iter([packed]))

    fetcher = HttpsFetcher(lambda: 0.0, lambda host, port: [PUBLIC], httpx2.MockTransport(serve))
    assert fetcher.fetch("https://cats.example/cat.png") == packed


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def cats(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A real server on this machine with a certificate for cats.example, reachable for the test only."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Cat)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("cats.example").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that turns away is the test
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(https, "is_public", lambda address: address == "127.0.0.1")
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


class Cat(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_the_certificate_is_that_of_the_name_not_of_the_address(authority: trustme.CA, cats: int) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with httpx2.HTTPTransport(verify=context) as transport:
        fetcher = HttpsFetcher(lambda: 0.0, lambda host, port: ["127.0.0.1"], transport)
        assert fetcher.fetch(f"https://cats.example:{cats}/cat.png") == f"cats.example:{cats}".encode()
        impostor = refusal(fetcher, f"https://dogs.example:{cats}/cat.png")
    assert impostor.outcome == "missing"
    assert "dogs.example" in str(impostor)


def test_a_certificate_of_nobody_is_not_taken(cats: int) -> None:
    fetcher = HttpsFetcher(lambda: 0.0, lambda host, port: ["127.0.0.1"])
    assert "CERTIFICATE_VERIFY_FAILED" in str(refusal(fetcher, f"https://cats.example:{cats}/cat.png"))


def bomb(side: int) -> bytes:
    """A PNG of side x side black pixels, in a few kilobytes."""
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")]
    parts = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def picture(kind: str, size: int = 64) -> bytes:
    file = BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


def as_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


HOSTILE: dict[str, Callable[[Path], tuple[str, str]]] = {
    "bomb": lambda root: (as_uri(bomb(16_000)), "invalid"),
    "bomb below the limit of Pillow": lambda root: (as_uri(bomb(8_000)), "invalid"),
    "header that lies": lambda root: (as_uri(bomb(64)[:16] + struct.pack(">I", 2**31 - 1) + bomb(64)[20:]), "invalid"),
    "cut off": lambda root: (as_uri(picture("JPEG")[:600]), "invalid"),
    "wrong type": lambda root: (as_uri(picture("TIFF")), "invalid"),
    "markup": lambda root: (as_uri(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "invalid"),
    "script": lambda root: (as_uri(b"%!PS\n/evil (%pipe%id) (w) file\n"), "invalid"),
    "no base64": lambda root: ("data:image/png;base64,?", "invalid"),
    "above the root": lambda root: ("../secret.png", "refused"),
    "above, in disguise": lambda root: ("file:shoes/%2e%2e/%2e%2e/secret.png", "refused"),
    "absolute": lambda root: (f"file://{root.parent}/secret.png", "refused"),
    "another host's file": lambda root: (f"file://files.example{root}/red.png", "refused"),
    "link out of the root": lambda root: ("outside.png", "refused"),
    "folder that links out": lambda root: ("up/secret.png", "refused"),
    "device": lambda root: ("/dev/zero", "refused"),
    "plain HTTP": lambda root: ("http://cats.example/cat.png", "refused"),
    "gopher": lambda root: ("gopher://127.0.0.1:6379/_FLUSHALL", "refused"),
    "credentials": lambda root: ("https://user:hunter2@cats.example/cat.png", "refused"),
    "metadata service": lambda root: ("https://169.254.169.254/latest/meta-data/", "refused"),
    "name that leads inside": lambda root: ("https://inner.example/cat.png", "refused"),
}


class Model:
    """Reads images with the real code, and adds the mean colour to a constant."""

    dim, name, digest, provider, wants_images = 4, "colours", "0", "python", True

    def refusal(self, product: Product) -> str | None:
        return None if product.title or product.image else "nothing to read"

    def encode(self, products: Sequence[Product], images: Sequence[bytes | None] | None = None) -> Vectors:
        seen = [np.zeros(3) if image is None else pixels(image, SPEC).mean((1, 2)) for image in images or ()]
        rows = np.array([[1.0, *colour] for colour in seen], np.float32)
        return cast("Vectors", rows / np.linalg.norm(rows, axis=1, keepdims=True))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "shoes").mkdir(parents=True)
    (folder / "red.png").write_bytes(picture("PNG"))
    (tmp_path / "secret.png").write_bytes(picture("PNG"))
    (folder / "outside.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    return folder


class Shelf:
    """A pipeline whose model looks at images; names are resolved here, and nothing is connected to."""

    def __init__(self, root: Path) -> None:
        self.counts: Counter[str] = Counter()
        names = {"inner.example": ["10.0.0.1"], "169.254.169.254": ["169.254.169.254"]}
        fetcher = HttpsFetcher(lambda: 0.0, lambda host, port: names[host], httpx2.MockTransport(offline))
        self.images = ImageLoader(root, lambda outcome: self.counts.update([outcome]), lambda: 0.0, fetcher)
        self.catalogue = Catalogue()
        graph = NeighbourGraph(ExactIndex(4), 4, 3, 3, self.catalogue.id_of)
        encoder = BundledEncoder(cast("Any", Model()), self.images)
        self.pipeline = Pipeline(encoder, graph, self.catalogue, frozenset(), lambda stage: nullcontext())

    def apply(self, *products: Product) -> Counter[Any]:
        records = [Record("products", 0, n, 0.0, None, encode_product(p)) for n, p in enumerate(products)]
        return self.pipeline.apply(Batch(records, {})).plan.outcomes

    def settle(self, uri: str) -> None:
        """Let a fetch end, and look at what came of it."""
        self.images.wait([uri], 10)
        self.pipeline.revisit(0.0)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_product_lives_on(root: Path, name: str) -> None:
    uri, outcome = HOSTILE[name](root)
    shelf = Shelf(root)
    hostile = Product(id="hostile", title="Shoe", image=uri)
    assert shelf.apply(hostile, Product(id="sound", title="Shoe", image="red.png")) == {"embedded": 2}
    shelf.settle(uri)
    assert shelf.counts[outcome] >= 1
    assert {each for each in shelf.counts if each not in ("read", "cached")} == {outcome}
    assert {id for id, _ in shelf.catalogue.items()} == {"hostile", "sound"}
    assert shelf.apply(Product(id="hostile", title="Shoe", image="red.png")) == {"embedded": 1}


def test_a_bomb_is_small() -> None:
    assert len(bomb(16_000)) < 100_000
    assert pixels(bomb(64), SPEC).shape == (3, 2, 2)
