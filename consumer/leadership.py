"""Who of several services of one generation writes: the one that holds the lease, under a number that only grows."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import structlog

from consumer.errors import ServerUnavailable

log = structlog.get_logger(__name__)

LEASE_SECONDS = 5.0
"""How long a leader leads without a further beat."""


class Leadership:
    """Takes and keeps the lead in a thread of its own, from ``start`` to ``stop``.

    Args:
        lead: (instance, term known or 0) -> the term under which this instance leads now, or 0. See ports.Store.
        resign: (instance, term) -> lets the lease run out.
        instance: an id that no other living process has.
        clock: seconds, monotonic; must go on while the process is stopped.
        beat: seconds from one beat to the next.
    """

    def __init__(
        self,
        lead: Callable[[str, int], int],
        resign: Callable[[str, int], None],
        instance: str,
        clock: Callable[[], float] = time.monotonic,
        beat: float = 1.0,
    ) -> None:
        self._lead = lead
        self._resign = resign
        self._instance = instance
        self._clock = clock
        self._pause = beat
        self._lock = threading.Lock()
        self._term = 0
        self._until = -math.inf
        self._renewals = 0
        self._answered = False
        self._failed: Exception | None = None
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leadership", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def term(self) -> int:
        """The term under which this instance leads as far as it knows, 0 when it does not.

        Raises:
            Exception: whatever unexpected ended the thread.
        """
        if self._failed is not None:
            raise self._failed
        with self._lock:
            return self._term if self._clock() < self._until else 0

    def answered(self) -> bool:
        """Whether the store has said once who leads."""
        with self._lock:
            return self._answered

    def renew(self) -> None:
        """Forget the term, and ask for a new one now."""
        with self._lock:
            self._term, self._until = 0, -math.inf
            self._renewals += 1
        self._wanted.set()

    def stop(self, *, resign: bool) -> None:
        """End the thread; ``resign`` lets another one lead at once. Without an answer the lease runs out by itself."""
        self._stopping.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(LEASE_SECONDS)
        with self._lock:
            term, self._term = self._term, 0
        if resign and term and not self._thread.is_alive():
            try:
                self._resign(self._instance, term)
            except ServerUnavailable as error:
                log.warning("could not resign; the lease runs out", reason=str(error))

    def beat(self) -> None:
        """Ask for the lead once. What was asked before a ``renew`` is an answer of before it."""
        with self._lock:
            known, renewals, asked = self._term, self._renewals, self._clock()
        try:
            term = self._lead(self._instance, known)
        except ServerUnavailable as error:
            log.warning("no answer about the lead", reason=str(error))
            return
        with self._lock:
            self._answered = True
            if renewals == self._renewals:
                self._term, self._until = term, asked + LEASE_SECONDS
        if term != known:
            log.info("leading" if term else "following", term=term, before=known)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._wanted.clear()
                self.beat()
                self._wanted.wait(0 if self._stopping.is_set() else self._pause)
        except Exception as error:
            self._failed = error
