"""Writes snapshots while the stream goes on: a child process has the state of its moment to write."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import msgspec
import structlog

from consumer.errors import KinstreamError
from consumer.forking import Child
from consumer.metrics import Metrics
from consumer.snapshot import Place, Snapshot
from consumer.types import Offsets

log = structlog.get_logger(__name__)

LIMIT_SECONDS = 600.0
"""A child that takes longer is ended."""

Write = Callable[[Place, float], Path]
"""Writes a snapshot of the state, which has read so far, at that time; ``consumer.snapshot.write`` with all else given."""


class _Written(msgspec.Struct, frozen=True):
    path: str
    nbytes: int


class Snapshotter:
    """A chore of the loop.

    Args:
        place: how far the state has read, asked between two batches.
        lock: held while the state changes.
        seconds: between the beginnings of two snapshots; 0 for none but at a clean stop.
    """

    def __init__(
        self,
        write: Write,
        place: Callable[[], Place],
        lock: Lock,
        metrics: Metrics,
        seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._write = write
        self._place = place
        self._lock = lock
        self._metrics = metrics
        self._seconds = seconds
        self._clock = clock
        self._child: Child | None = None
        self._begun_at = clock()
        self._begun_place = Place(topic="", topic_id="", offsets={})
        self._saved: Offsets | None = None

    def adopt(self, snapshot: Snapshot) -> None:
        """The state came from this snapshot: it is the newest good one."""
        self._good(snapshot.created_at, snapshot.nbytes, snapshot.place.offsets)

    def turn(self, now: float) -> None:
        """Begin a snapshot when it is due and something was read since the last; see what became of one under way."""
        if self._child is not None:
            self._watch(self._child, now)
        elif self._seconds and not 0 <= now - self._begun_at < self._seconds:
            self._begin(self._place(), now)

    def save_now(self) -> Path | None:
        """Write a snapshot in this process, for the clean stop; None when it failed, which is logged and counted."""
        self.close()
        self._start(self._place(), self._clock())
        try:
            written = self._written()
        except KinstreamError as error:
            self._failed(str(error))
            return None
        self._succeeded(written)
        return Path(written.path)

    def close(self) -> None:
        """End what is under way; what it had written is removed by the next snapshot."""
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def _begin(self, place: Place, now: float) -> None:
        if place.offsets == self._saved:
            return
        self._start(place, now)
        try:
            self._child = Child(lambda: msgspec.msgpack.encode(self._written()), self._lock)
        except OSError as error:
            self._failed(f"no process for it ({error.strerror}): free memory, or allow more processes")

    def _start(self, place: Place, now: float) -> None:
        self._begun_at = now
        self._begun_place = msgspec.structs.replace(place, offsets=dict(place.offsets))

    def _written(self) -> _Written:
        """Write the snapshot that was started."""
        path = self._write(self._begun_place, self._begun_at)
        return _Written(str(path), sum(file.stat().st_size for file in path.iterdir()))

    def _watch(self, child: Child, now: float) -> None:
        outcome = child.outcome()
        if outcome is None:
            if now - self._begun_at > LIMIT_SECONDS:
                child.kill()
            return
        self._child = None
        if outcome.result is None:
            self._failed(outcome.failure)
        else:
            self._succeeded(msgspec.msgpack.decode(outcome.result, type=_Written))

    def _failed(self, reason: str) -> None:
        log.error("snapshot failed, the one before it is kept", reason=reason)
        self._metrics.snapshot_failed()

    def _succeeded(self, written: _Written) -> None:
        seconds = round(self._clock() - self._begun_at, 1)
        log.info("snapshot", path=written.path, bytes=written.nbytes, seconds=seconds)
        self._good(self._begun_at, written.nbytes, self._begun_place.offsets)

    def _good(self, created_at: float, nbytes: int, offsets: Offsets) -> None:
        self._saved = offsets
        self._metrics.snapshot_written(nbytes, lambda: self._clock() - created_at)
