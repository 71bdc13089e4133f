"""The products that were encoded without their image, and when each image is tried again."""

from __future__ import annotations

import heapq
from itertools import islice

import msgspec
import structlog

from consumer.https import ImageUnavailable
from consumer.images import ImagePending
from producer.events import Product

log = structlog.get_logger(__name__)

LIMIT = 100_000
"""Products remembered; those beyond it keep the vector without the image until their next event."""
FIRST_RETRY_SECONDS = 60.0
"""The wait before the first new try of a failed image; doubled for each try after it."""
TRIES = 5


class _Entry(msgspec.Struct, frozen=True):
    """A product as it was encoded last; ``due`` is set while a failed image waits for its next try."""

    product: Product
    tries: int
    due: float | None = None


class WaitingList:
    """Newest state by id. Pending images come first in, first out; failed ones return to their end when due."""

    def __init__(self) -> None:
        self._pending: dict[str, _Entry] = {}
        self._failed: dict[str, _Entry] = {}
        self._offered: dict[str, _Entry] = {}
        self._undated: list[str] = []
        """Failed since the last turn; the turn knows the time."""
        self._due: list[tuple[float, str]] = []
        self._full = False

    def __len__(self) -> int:
        """How many images are pending."""
        return len(self._pending)

    def turn(self, now: float) -> None:
        """Forget what was offered and not encoded, and take up failed images that are due."""
        self._offered.clear()
        for id in self._undated:
            entry = self._failed.get(id)
            if entry is not None and entry.due is None:
                due = now + FIRST_RETRY_SECONDS * 2**entry.tries
                self._failed[id] = msgspec.structs.replace(entry, due=due)
                heapq.heappush(self._due, (due, id))
        self._undated.clear()
        while self._due and self._due[0][0] <= now:
            due, id = heapq.heappop(self._due)
            entry = self._failed.get(id)
            if entry is not None and entry.due == due:
                del self._failed[id]
                self._pending[id] = _Entry(entry.product, entry.tries + 1)

    def head(self, number: int) -> list[Product]:
        """The first pending products."""
        return [entry.product for entry in islice(self._pending.values(), number)]

    def products(self) -> list[Product]:
        """All products that wait, in whatever way."""
        entries = (*self._pending.values(), *self._failed.values(), *self._offered.values())
        return [entry.product for entry in entries]

    def offer(self, product: Product) -> None:
        """Take a pending product off the list; its tries count on when note() is told of it before the next turn."""
        self._offered[product.id] = self._pending.pop(product.id)

    def note(self, product: Product, found: bytes | ImagePending | ImageUnavailable | None) -> None:
        """What became of a product's image: keep the product, or forget it when there is nothing to wait for."""
        before = self._taken(product.id)
        entry = _Entry(product, before.tries if before and before.product.image == product.image else 0)
        if isinstance(found, ImagePending) and self._has_room():
            self._pending[product.id] = entry
        elif isinstance(found, ImageUnavailable) and not found.final and entry.tries < TRIES and self._has_room():
            self._failed[product.id] = entry
            self._undated.append(product.id)

    def _taken(self, id: str) -> _Entry | None:
        entries = (self._pending.pop(id, None), self._failed.pop(id, None), self._offered.pop(id, None))
        return next((entry for entry in entries if entry is not None), None)

    def _has_room(self) -> bool:
        full = len(self._pending) + len(self._failed) >= LIMIT
        if full and not self._full:
            log.warning("too many products wait for their image; further ones stay without it", products=LIMIT)
        self._full = full
        return not full
