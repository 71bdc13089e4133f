"""The shop that never sleeps: a thread that publishes changes at a bounded rate and keeps the ledger."""

from __future__ import annotations

import contextlib
import queue
import threading
import time

from assortment import Assortment
from confluent_kafka import KafkaError, Message
from ledger import Ledger, State

from producer.errors import ProducerError
from producer.publisher import Publisher

IDLE_SECONDS = 0.005
GIVE_UP_MS = "4000"
"""After so long without an answer an event counts as failed, and is said again."""
SENTINELS = [f"sentinel-{number}" for number in range(48)]
"""Products that only ``touch`` changes, enough for one in every partition."""


class Reporting(Publisher):
    """Tells the ledger of each event what became of it."""

    def __init__(self, bootstrap: str, topic: str, ledger: Ledger) -> None:
        super().__init__(bootstrap, topic, {"delivery.timeout.ms": GIVE_UP_MS})
        self._ledger = ledger

    def _report(self, error: KafkaError | None, message: Message) -> None:
        super()._report(error, message)
        self._ledger.report((message.key() or b"").decode(), error is None, message.partition() or 0)


class Load(threading.Thread):
    """Publishes; ``pause`` returns once everything is acknowledged."""

    def __init__(
        self, bootstrap: str, topic: str, ledger: Ledger, assortment: Assortment, sentinels: Assortment, rate: float
    ) -> None:
        """Connect. ``rate`` is in events a second; sentinels are drawn apart, so that they leave the changes as they are."""
        super().__init__(name="load", daemon=True)
        self.ledger = ledger
        self._place = (bootstrap, topic)
        self._assortment, self._sentinels = assortment, sentinels
        self._step = 1 / rate
        self._due = time.monotonic()
        self._asked: queue.Queue[State] = queue.Queue()
        self._busy = threading.Lock()
        self._paused, self._ended = threading.Event(), threading.Event()
        self._paused.set()
        self._publisher = Reporting(*self._place, self.ledger)

    def stock(self, products: int) -> None:
        """Ask for the first products, and those that ``touch`` changes."""
        for id in SENTINELS:
            self._asked.put(self._sentinels.fresh(id))
        for _ in range(products):
            self._asked.put(self._assortment.create())

    def touch(self) -> list[State]:
        """Change one product in every partition: when readers see these, they see all that was said before."""
        places = self.ledger.partition_of
        one_each = {places[id]: id for id in SENTINELS if id in places}
        touched = [self._sentinels.fresh(id) for id in one_each.values()]
        for state in touched:
            self._asked.put(state)
        return touched

    def pause(self, seconds: float = 120) -> None:
        """Say nothing more of its own accord, and wait for the last acknowledgement.

        Raises:
            TimeoutError: it did not come.
        """
        self._paused.set()
        deadline = time.monotonic() + seconds
        while not self.quiet():
            if time.monotonic() > deadline:
                raise TimeoutError(f"Kafka did not acknowledge everything within {seconds:g} s")
            time.sleep(IDLE_SECONDS)

    def quiet(self) -> bool:
        """Whether nothing is left to say, or to be acknowledged."""
        with self._busy:
            return self._asked.empty() and self.ledger.settled()

    def resume(self) -> None:
        """Go on."""
        self._due = time.monotonic()
        self._paused.clear()

    def reconnect(self) -> None:
        """Look at the topic anew; only while paused."""
        with self._busy:
            self._publisher = Reporting(*self._place, self.ledger)

    def say_everything(self) -> None:
        """Ask for every living product once more."""
        for state in self.ledger.live().values():
            self._asked.put(state)

    def end(self) -> None:
        """Stop for good."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Until the end."""
        while not self._ended.is_set():
            with self._busy:
                worked = self._work()
            if not worked:
                time.sleep(IDLE_SECONDS)

    def _work(self) -> bool:
        """Say one thing, if there is one to say now."""
        with contextlib.suppress(queue.Empty):
            state = self._asked.get_nowait()
            self._say(state.id, state)
            return True
        failed = self.ledger.failed()
        for id in failed:
            self._say(id, self.ledger.state(id))
        if not self._paused.is_set() and time.monotonic() >= self._due:
            self._due = max(self._due + self._step, time.monotonic() - 1)
            self._say(*self._assortment.change())
            return True
        self._serve()
        return False

    def _serve(self) -> None:
        """Let the publisher report; what failed is in the ledger."""
        with contextlib.suppress(ProducerError):
            self._publisher.flush(0)

    def _say(self, id: str, state: State | None) -> None:
        self.ledger.say(id, state)
        try:
            if state is None:
                self._publisher.delete(id)
            else:
                self._publisher.publish(state.event())
        except ProducerError:
            self.ledger.report(id, acknowledged=False)
            self._reopen()

    def _reopen(self) -> None:
        """The publisher takes nothing more: wait for its last reports, then take another."""
        with contextlib.suppress(ProducerError):
            self._publisher.flush(30)
        while not self._ended.is_set():
            try:
                self._publisher = Reporting(*self._place, self.ledger)
            except ProducerError:
                time.sleep(0.5)
            else:
                return
