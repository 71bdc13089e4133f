"""Sends one event after another, at most so many a second; counts them, and names those that were refused."""

from __future__ import annotations

import time
from collections.abc import Callable

import typer
from rich.console import Console
from rich.progress import Progress

from producer.product import Deletion, Product
from producer.refusals import BadEvent

Event = Product | Deletion


class Sending:
    """What a command has sent so far."""

    def __init__(
        self,
        send: Callable[[Event], None],
        console: Console,
        progress: Progress,
        rate: float = 0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Start counting.

        Args:
            send: takes an event, or raises BadEvent.
            console: where refusals are told.
            progress: the bar.
            rate: events a second at most; 0 is no limit.
            clock: monotonic seconds.
            sleep: waits for seconds.
        """
        self.sent = self.refused = 0
        self._send = send
        self._console = console
        self._progress = progress
        self._bar = progress.add_task("products", total=None)
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._started = clock()

    def attempt(self, place: str, make: Callable[[], Event]) -> None:
        """Make an event and send it; a bad one is named by its place, and the rest goes on."""
        try:
            event = make()
            self._wait()
            self._send(event)
        except BadEvent as bad:
            self.refuse(place, bad)
            return
        self.sent += 1
        self._progress.advance(self._bar)

    def refuse(self, place: str, bad: BadEvent) -> None:
        """Tell what is wrong, and count it."""
        self.refused += 1
        line = f"{place}: {bad.reason}: {bad}"
        self._console.print(line, style="red", highlight=False, markup=False, soft_wrap=True)

    def finish(self, verb: str) -> None:
        """Tell the sum; exit code 1 when anything was refused."""
        self._console.print(f"{self.sent} {verb}, {self.refused} refused", highlight=False)
        if self.refused:
            raise typer.Exit(1)

    def _wait(self) -> None:
        early = self._started + self.sent / self._rate - self._clock() if self._rate else 0.0
        if early > 0:
            self._sleep(early)
