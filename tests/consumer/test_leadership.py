"""Keeping the lease: what is known of the lead at each moment."""

from __future__ import annotations

import threading

import pytest

from consumer.errors import ServerUnavailable
from consumer.leadership import LEASE_SECONDS, Leadership
from consumer.memory import MemoryStore
from consumer.memory_server import MemoryServer

SECONDS = 30.0


class Service:
    """A service of one generation, its clock and the server's, and a way to break the line."""

    def __init__(self, instance: str = "one", server: MemoryServer | None = None) -> None:
        self.now = 1000.0
        self.down = False
        self.store = MemoryStore("g1", server or MemoryServer(lambda: self.now))
        self.leadership = Leadership(self._lead, self._resign, instance, lambda: self.now)

    def _lead(self, instance: str, known: int) -> int:
        if self.down:
            raise ServerUnavailable("down")
        return self.store.lead(instance, known)

    def _resign(self, instance: str, term: int) -> None:
        if self.down:
            raise ServerUnavailable("down")
        self.store.resign(instance, term)


def test_nobody_leads_before_the_first_beat() -> None:
    assert Service().leadership.term() == 0


def test_a_beat_takes_the_lead_and_keeps_its_term() -> None:
    service = Service()
    service.leadership.beat()
    term = service.leadership.term()
    assert term > 0
    for _ in range(10):
        service.now += 1
        service.leadership.beat()
        assert service.leadership.term() == term


def test_without_a_beat_the_lead_ends_with_the_lease() -> None:
    service = Service()
    service.leadership.beat()
    service.now += LEASE_SECONDS - 0.01
    assert service.leadership.term() > 0
    service.now += 0.01
    assert service.leadership.term() == 0


def test_the_lease_counts_from_the_question_not_from_the_answer() -> None:
    service = Service()
    lead = service.store.lead

    def slow(instance: str, known: int) -> int:
        term = lead(instance, known)
        service.now += LEASE_SECONDS
        return term

    service.store.lead = slow  # type: ignore[method-assign]
    service.leadership.beat()
    assert service.leadership.term() == 0


def test_a_server_that_is_down_ends_the_lead_only_with_the_lease() -> None:
    service = Service()
    service.leadership.beat()
    term = service.leadership.term()
    service.down = True
    service.now += 3
    service.leadership.beat()
    assert service.leadership.term() == term
    service.now += 3
    service.leadership.beat()
    assert service.leadership.term() == 0
    service.down = False
    service.leadership.beat()
    assert service.leadership.term() == term


def test_another_leads_once_the_lease_ran_out() -> None:
    one = Service()
    two = Service("two", one.store.server)
    one.leadership.beat()
    two.leadership.beat()
    assert two.leadership.term() == 0
    term = one.leadership.term()
    one.now += LEASE_SECONDS
    two.leadership.beat()
    assert two.leadership.term() > term
    one.leadership.beat()
    assert one.leadership.term() == 0


def test_a_renewed_lead_has_a_new_term() -> None:
    service = Service()
    service.leadership.beat()
    term = service.leadership.term()
    service.leadership.renew()
    assert service.leadership.term() == 0
    service.leadership.beat()
    assert service.leadership.term() > term


def test_an_answer_of_before_the_renewal_does_not_count() -> None:
    service = Service()
    lead = service.store.lead

    def meanwhile(instance: str, known: int) -> int:
        service.store.lead = lead  # type: ignore[method-assign]
        term = lead(instance, known)
        service.leadership.renew()
        return term

    service.store.lead = meanwhile  # type: ignore[method-assign]
    service.leadership.beat()
    assert service.leadership.term() == 0
    service.leadership.beat()
    assert service.leadership.term() > 0


@pytest.mark.parametrize("resign", [True, False])
def test_who_stops_resigns_if_it_is_told_to(resign: bool) -> None:
    one = Service()
    two = Service("two", one.store.server)
    one.leadership.beat()
    one.leadership.stop(resign=resign)
    assert one.leadership.term() == 0
    two.leadership.beat()
    assert (two.leadership.term() > 0) is resign


def test_stopping_needs_no_server() -> None:
    service = Service()
    service.leadership.beat()
    service.down = True
    service.leadership.stop(resign=True)
    assert service.leadership.term() == 0


def test_the_thread_beats_until_it_is_stopped() -> None:
    beats = threading.Semaphore(0)

    def lead(instance: str, known: int) -> int:
        beats.release()
        return 7

    resigned: list[tuple[str, int]] = []
    leadership = Leadership(lead, lambda *told: resigned.append(told), "one", beat=0.001)
    leadership.start()
    assert all(beats.acquire(timeout=SECONDS) for _ in range(3))
    leadership.stop(resign=True)
    assert resigned == [("one", 7)]
    assert leadership.term() == 0


def test_a_renewal_does_not_wait_for_the_next_beat() -> None:
    asked: list[int] = []
    beats = threading.Semaphore(0)

    def lead(instance: str, known: int) -> int:
        asked.append(known)
        beats.release()
        return len(asked)

    leadership = Leadership(lead, lambda *_: None, "one", beat=3600)
    leadership.start()
    assert beats.acquire(timeout=SECONDS)
    leadership.renew()
    assert beats.acquire(timeout=SECONDS)
    leadership.stop(resign=False)
    assert asked[:2] == [0, 0]


def test_what_ends_the_thread_is_raised_where_the_lead_is_asked_for() -> None:
    ended = threading.Event()

    def lead(instance: str, known: int) -> int:
        ended.set()
        raise KeyError("a fault of ours")

    leadership = Leadership(lead, lambda *_: None, "one")
    leadership.start()
    assert ended.wait(SECONDS)
    leadership.stop(resign=True)
    with pytest.raises(KeyError, match="a fault of ours"):
        leadership.term()
