"""What the shop said and Kafka acknowledged: the truth that everything else is compared with."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class State:
    """The full state of a product; ``vector`` [dim] is as it was sent, not normalised."""

    id: str
    version: int
    price: float
    available: bool
    vector: Vector

    def event(self) -> dict[str, Any]:
        """As it is published."""
        return {
            "id": self.id,
            "title": f"product {self.id}",
            "price": self.price,
            "available": self.available,
            "version": self.version,
            "embedding": [round(float(number), 4) for number in self.vector],
        }


class Ledger:
    """Every product's last state, and whether all that was said of it is acknowledged.

    Said by one thread, read by others. A product of which an event failed must be said again, in its last state: the
    failed event may lie in the topic or not.
    """

    def __init__(self) -> None:
        self.taken = 0
        """Events that Kafka acknowledged."""
        self.partition_of: dict[str, int] = {}
        self._states: dict[str, State | None] = {}
        self._numbers: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._failed: set[str] = set()
        self._lock = threading.Lock()

    def say(self, id: str, state: State | None) -> None:
        """An event is about to be sent; None deletes."""
        with self._lock:
            self._states[id] = state
            self._numbers[id] += 1
            self._waiting[id] += 1
            self._failed.discard(id)

    def forget(self, id: str) -> None:
        """The product is gone, and no event says so."""
        with self._lock:
            self._states[id] = None
            self._numbers[id] += 1

    def report(self, id: str, acknowledged: bool, partition: int = 0) -> None:
        """What became of one event of a product."""
        with self._lock:
            self.partition_of[id] = partition
            self._waiting[id] -= 1
            self.taken += acknowledged
            if not acknowledged:
                self._failed.add(id)
            if not self._waiting[id]:
                del self._waiting[id]

    def failed(self) -> list[str]:
        """Ids to say again."""
        with self._lock:
            return list(self._failed)

    def state(self, id: str) -> State | None:
        """What was said last."""
        return self._states.get(id)

    def settled(self) -> bool:
        """Whether every event was acknowledged."""
        with self._lock:
            return not self._waiting and not self._failed

    def acknowledged(self) -> dict[str, State | None]:
        """Every product that was ever said and of which nothing is under way; None for the deleted."""
        with self._lock:
            unsure = self._waiting.keys() | self._failed
            return {id: state for id, state in self._states.items() if id not in unsure}

    def numbers(self) -> Counter[str]:
        """How often each product was said: as long as its number is the same, so is its state."""
        with self._lock:
            return self._numbers.copy()

    def live(self) -> dict[str, State]:
        """The products that there are, as acknowledged."""
        return {id: state for id, state in self.acknowledged().items() if state is not None}
