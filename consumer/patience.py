"""Waiting for a server that does not answer: backoff with jitter, without an end but the end of the service."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TypeVar

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_when_event_set,
    wait_random_exponential,
)

from consumer.errors import ServerUnavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")

LONGEST_WAIT = 5.0
"""Seconds between two tries, at most."""


class Patience:
    """Calls again what raised ServerUnavailable, until it works or the service is to stop."""

    def __init__(self, stopping: Event, alive: Callable[[], None]) -> None:
        """``alive`` is called before every wait, to say that the process still turns."""
        self._alive = alive
        self._retrying = Retrying(
            retry=retry_if_exception_type(ServerUnavailable),
            wait=wait_random_exponential(multiplier=0.1, max=LONGEST_WAIT),
            stop=stop_when_event_set(stopping),
            sleep=lambda seconds: _wait(stopping, seconds),
            before_sleep=self._before_wait,
            reraise=True,
        )

    def call(self, function: Callable[[], T]) -> T:
        """The result of the function.

        Raises:
            ServerUnavailable: the service is to stop and the server still does not answer.
        """
        return self._retrying(function)

    def _before_wait(self, state: RetryCallState) -> None:
        self._alive()
        if state.outcome is not None:
            log.warning("waiting for a server", reason=str(state.outcome.exception()), tries=state.attempt_number)


def _wait(stopping: Event, seconds: float) -> None:
    stopping.wait(seconds)
