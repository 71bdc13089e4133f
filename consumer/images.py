"""Product images, from what a product names to bytes: ``data:`` URIs, files under one folder, and ``https:``.

Nothing else is opened.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from consumer.https import HttpsFetcher, ImageUnavailable, check_size, shortened
from model.images import MAX_BYTES

CACHE_BYTES = 64 * 1024 * 1024
WORKERS = 16
MAX_JOBS = 1024
"""Images that are being fetched or wait for a thread; the others wait for their next get()."""
FAILURE_SECONDS = 30.0
"""How long a failed fetch stands for all products that name the image."""
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


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
        clock: Callable[[], float],
        https: HttpsFetcher | None = None,
    ) -> None:
        """``root`` is the folder that paths are relative to and may not leave; None refuses all files."""
        self._root = root
        self._count = count
        self._clock = clock
        self._https = https or HttpsFetcher(clock)
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
        failure = ImageUnavailable("invalid", f"{shortened(uri)}: {reason}", final=_scheme(uri) == "data")
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
        reason = f"{shortened(uri)}: {scheme}: is not opened, use https:, file:, data: or a path under the image root"
        raise ImageUnavailable("refused", reason, final=True)

    def _local(self, name: str) -> bytes:
        if self._root is None:
            raise ImageUnavailable("refused", f"{shortened(name)}: there is no image root, set KINSTREAM_IMAGE_ROOT")
        try:
            path = (self._root / name).resolve()
            if not path.is_relative_to(self._root.resolve()):
                raise ImageUnavailable("refused", f"{shortened(name)} leads out of KINSTREAM_IMAGE_ROOT={self._root}")
            if not path.is_file():
                raise ImageUnavailable("missing", f"{shortened(name)}: no such file under {self._root}")
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError, RuntimeError) as error:  # a NUL byte is a ValueError, a loop of links the last
            raise ImageUnavailable("missing", f"{shortened(name)} cannot be read: {error}") from error
        check_size(len(data), name)
        return data

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
        raise ImagePending(f"{shortened(uri)} is not fetched yet")

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
        except ImageUnavailable as error:  # a new one, for the old one's traceback holds what was read
            return ImageUnavailable(error.outcome, str(error), final=error.final)
        except Exception as error:  # whatever a hostile server provokes costs one image, not the thread
            return ImageUnavailable("missing", f"{shortened(uri)}: {error!r}")

    def _failed(self, uri: str, failure: ImageUnavailable) -> None:
        """Remember a failure, and forget those that are over: the oldest come first."""
        now = self._clock()
        while self._failures and (oldest := next(iter(self._failures))) and self._failures[oldest][0] <= now:
            del self._failures[oldest]
        self._failures.pop(uri, None)
        self._failures[uri] = (now + FAILURE_SECONDS, failure)


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


def _scheme(uri: str) -> str:
    match = SCHEME.match(uri)
    return match[1].lower() if match else ""


def _path(uri: str) -> str:
    """The path of a ``file:`` URI."""
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ImageUnavailable("refused", f"{shortened(uri)} is not a URI: {error}", final=True) from error
    if parts.netloc not in ("", "localhost"):
        raise ImageUnavailable("refused", f"{shortened(uri)} names another host: use file:///path", final=True)
    return unquote(parts.path)


def _decoded(uri: str) -> bytes:
    """The bytes of a ``data:`` URI."""
    head, comma, body = uri.partition(",")
    if not comma:
        raise ImageUnavailable("invalid", f"{shortened(uri)} has no comma before its data", final=True)
    data = unquote_to_bytes(body)
    if not head.lower().endswith(";base64"):
        return data
    try:
        return base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error as error:
        raise ImageUnavailable("invalid", f"{shortened(uri)} is not base64: {error}", final=True) from error
