"""Timed replay of recorded changes: at the pace at which they happened, or faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from producer.changes import Change


def paced(
    changes: Iterable[Change],
    speed: float,
    longest_gap: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Change]:
    """Yield each change when its time has come.

    Args:
        changes: in the order of their time.
        speed: recorded seconds that pass in one second; infinite for no waiting.
        longest_gap: recorded seconds between two changes beyond which the rest of the gap is skipped.
        clock: monotonic seconds.
        sleep: waits for seconds.
    """
    started, due, previous = clock(), 0.0, None
    for change in changes:
        if previous is not None:
            due += min(max(change.ts - previous, 0.0), longest_gap) / speed
        previous = change.ts
        early = started + due - clock()
        if early > 0:
            sleep(early)
        yield change
