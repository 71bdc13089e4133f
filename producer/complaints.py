"""Why brokers turn a client away: librdkafka tells that to a callback, and the caller only that the time is up."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaError, KafkaException
from tenacity import Retrying, retry_if_exception, stop_after_delay

SETTINGS = (KafkaError._AUTHENTICATION, KafkaError._SSL)
"""What no waiting mends: the settings are wrong."""
STEP = 1.0
"""Seconds after which complaints are looked at."""


class Complaints:
    """Give ``note`` to a client as its ``error_cb``."""

    def __init__(self) -> None:
        self._about_settings: list[KafkaError] = []

    def note(self, error: KafkaError) -> None:
        """Called by the client, from within its poll()."""
        if error.code() in SETTINGS:
            self._about_settings.append(error)

    def reason(self) -> str | None:
        """The first complaint about settings, in one line."""
        return " ".join(self._about_settings[0].str().split()) if self._about_settings else None

    def metadata(self, client: Any, seconds: float) -> Any:
        """What the brokers tell ``client`` (an AdminClient) of the cluster; a complaint ends the wait early.

        Raises:
            KafkaException: they tell nothing.
        """
        step = min(STEP, seconds)
        asking = Retrying(
            retry=retry_if_exception(lambda error: self._may_pass(client, error)),
            stop=stop_after_delay(seconds - step),
            reraise=True,
        )
        return asking(client.list_topics, timeout=step)

    def _may_pass(self, client: Any, error: BaseException) -> bool:
        client.poll(0)
        return isinstance(error, KafkaException) and not self._about_settings
