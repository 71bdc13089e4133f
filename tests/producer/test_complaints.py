"""What brokers complain about, told to whoever waits for them."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from producer.complaints import Complaints


class Client:
    """An AdminClient that hears an error at its first poll, and never an answer."""

    def __init__(self, complaints: Complaints, code: int) -> None:
        self.asked = 0
        self._complaints = complaints
        self._code = code

    def list_topics(self, timeout: float) -> None:
        self.asked += 1
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def poll(self, timeout: float) -> None:
        self._complaints.note(KafkaError(self._code, "wrong\n  password"))


@pytest.mark.parametrize("code", [KafkaError._AUTHENTICATION, KafkaError._SSL])
def test_a_complaint_about_settings_ends_the_wait(code: int) -> None:
    complaints = Complaints()
    client = Client(complaints, code)
    with pytest.raises(KafkaException):
        complaints.metadata(client, 3600)
    assert client.asked == 1
    assert complaints.reason() == "wrong password"


def test_a_broker_that_is_away_is_no_complaint() -> None:
    complaints = Complaints()
    client = Client(complaints, KafkaError._ALL_BROKERS_DOWN)
    with pytest.raises(KafkaException):
        complaints.metadata(client, 0.001)
    assert complaints.reason() is None
