"""A slice of `make fuzz`, and proof that its accounts find what they are there to find."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import accounting
import pytest
from accounting import Account
from fuzzing import generated, run
from samples import DELETIONS, UPSERTS, Event
from spoiling import PRODUCT, VALUE

from consumer.batch import Coalescer
from consumer.pipeline import Pipeline
from producer.events import Deletion, decode_event

EVENTS = 2000
SHOE = b'{"id":"p1","title":"Shoe","embedding":[1,0,0,0,0,0,0,1]}'


def test_every_event_is_accounted_for() -> None:
    account = run(EVENTS, seed=1)
    assert account.crashes == []
    assert account.dropped == []
    assert account.sent == sum(account.fates.values()) == EVENTS
    assert {kind for kind, _ in account.fates} == {*UPSERTS, *DELETIONS, *PRODUCT, *VALUE, "other key", "other headers"}
    fates = {fate for _, fate in account.fates}
    assert fates == {"embedded", "facts", "unchanged", "stale", "duplicate", "deleted", "dead_letter"}


def test_a_seed_makes_the_same_events_again() -> None:
    first, second, other = (
        [next(stream) for _ in range(200)] for stream in (generated(Random(n), 9) for n in (1, 1, 2))
    )
    assert first == second
    assert first != other


def test_the_command_ends_with_one_object(repo_root: Path) -> None:
    command = [sys.executable, str(repo_root / "ops" / "fuzz" / "fuzzing.py"), "--events", "50", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == {"events": 50, "crashes": 0, "silently_dropped": 0}


def shoe(**fields: Any) -> Event:
    shown = {"title": "Shoe", "available": True, "embedding": [1, 0, 0, 0, 0, 0, 0, 1], **fields}
    return Event("plain JSON", b"p1", SHOE, says=("p1", shown))


def test_a_sound_event_has_nothing_to_answer_for() -> None:
    account = Account()
    account.feed([shoe()])
    account.close()
    assert (account.crashes, account.dropped) == ([], [])


def test_an_exception_of_the_decoder_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(accounting, "decode_event", broken)
    account = Account()
    account.feed([shoe()])
    assert [crash.partition("decoder: ")[2] for crash in account.crashes] == ["RecursionError('too deep')"]


def test_an_exception_of_the_pipeline_is_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account()
    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "apply", lambda *_: 1 / 0)
        account.feed([shoe()])
    account.feed([shoe()])
    assert len(account.crashes) == 1
    assert account.dropped == []


def test_an_event_that_vanishes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Coalescer, "_upsert", lambda *_: "unchanged")
    account = Account()
    account.feed([shoe()])
    assert any("counted as" in fault for fault in account.dropped)
    assert any("p1: should be" in fault for fault in account.dropped)


def test_an_event_that_is_applied_and_refused_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account()
    account.feed([Event("noise", b"p1", SHOE, refused=True)])
    assert any("0 letters, should be dead_letter" in fault for fault in account.dropped)
    account = Account()
    account.feed([Event("tombstone", b"p1", b"{", says=("p1", None))])
    assert any("1 letters, should be unchanged" in fault for fault in account.dropped)


def test_a_wrong_card_is_found() -> None:
    account = Account()
    account.feed([shoe(title="Boot")])
    assert any("should show" in fault for fault in account.dropped)


def test_a_wrong_vector_and_a_wrong_list_are_found() -> None:
    account = Account()
    account.feed([shoe(), Event("plain JSON", b"p2", SHOE.replace(b"p1", b"p2"))])
    account.system.wanted.products["p1"]["embedding"] = [0, 1, 0, 0, 0, 0, 0, 0]
    account.close()
    assert any("p1: vector is" in fault for fault in account.dropped)
    assert any("p1: its list is" in fault for fault in account.dropped)
    account = Account()
    account.feed([shoe(), Event("plain JSON", b"p2", SHOE.replace(b"p1", b"p2"))])
    account.system.wanted.products["p2"]["available"] = False
    account.close()
    assert any("p1: its list names" in fault for fault in account.dropped)


def test_the_samples_are_what_their_format_says() -> None:
    """Each way to delete deletes, so that none of the formats goes untried."""
    for name, make in DELETIONS.items():
        event = make("p1", None)
        assert decode_event(event.key, event.value, event.headers) == Deletion("p1"), name
