"""Work in a child process: what it tells, what it lets go of, and that it never outlives its parent."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

import pytest

from consumer.forking import Child, Outcome

DEADLINE_SECONDS = 60


def outcome_of(child: Child) -> Outcome:
    """Wait for the end of the only child, without taking it away from who asks for it."""
    os.waitid(os.P_PID, child._pid, os.WEXITED | os.WNOWAIT)
    outcome = child.outcome()
    assert outcome is not None
    return outcome


def test_the_result_is_told() -> None:
    assert outcome_of(Child(lambda: b"done", Lock())) == Outcome(b"done")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("the disk is full"), "the disk is full"),
        (SystemExit(), "SystemExit()"),
        (ValueError("x" * 10_000), "x" * 4000),
    ],
)
def test_a_failure_is_told(error: BaseException, told: str) -> None:
    def fail() -> bytes:
        raise error

    assert outcome_of(Child(fail, Lock())) == Outcome(failure=told)


def test_a_death_is_told() -> None:
    def die() -> bytes:
        os.kill(os.getpid(), 9)
        return b""

    assert outcome_of(Child(die, Lock())) == Outcome(failure="its process ended with -9")


def forever() -> bytes:
    while True:
        select.select([], [], [])


def test_it_is_at_work_until_it_is_ended() -> None:
    child = Child(forever, Lock())
    assert child.outcome() is None
    child.kill()
    assert outcome_of(child).failure == "its process ended with -9"
    another = Child(forever, Lock())
    another.end()
    with pytest.raises(ChildProcessError):
        os.waitpid(another._pid, 0)


def test_it_has_the_memory_of_the_moment(tmp_path: Path) -> None:
    """It begins to look once the parent has changed everything."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    state = ["before"]

    def look() -> bytes:
        gate.read_bytes()
        return state[0].encode()

    child = Child(look, Lock())
    state[0] = "after"
    gate.write_bytes(b"go")
    assert outcome_of(child) == Outcome(b"before")


def test_the_lock_is_held_for_the_fork_only() -> None:
    lock = Lock()
    child = Child(lambda: str(lock.locked()).encode(), lock)
    assert not lock.locked()
    assert outcome_of(child).result == b"True"


def test_it_keeps_no_file_and_no_socket() -> None:
    def look() -> bytes:
        return " ".join(sorted(os.readlink(f"/proc/self/fd/{number}") for number in (0, 1, 2))).encode() + b" ".join(
            name.encode() for name in sorted(os.listdir("/proc/self/fd"))
        )

    with socket.create_server(("127.0.0.1", 0)):
        outcome = outcome_of(Child(look, Lock()))
    listing_itself = "4"
    assert outcome.result == f"/dev/null /dev/null /dev/null0 1 2 3 {listing_itself}".encode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_leaves_a_stop_to_its_parent(number: int) -> None:
    def go_on() -> bytes:
        os.kill(os.getpid(), number)
        return b"done"

    assert outcome_of(Child(go_on, Lock())) == Outcome(b"done")


def test_it_is_nice() -> None:
    assert outcome_of(Child(lambda: str(os.nice(0)).encode(), Lock())).result == str(min(os.nice(0) + 10, 19)).encode()


def test_no_descriptor_is_left_open() -> None:
    before = pipes()
    outcome_of(Child(lambda: b"", Lock()))
    child = Child(forever, Lock())
    assert len(pipes() - before) == 1
    child.end()
    assert pipes() - before == set()


def test_without_another_process_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    before, lock = pipes(), Lock()
    with pytest.raises(OSError, match="temporarily unavailable"):
        Child(forever, lock)
    assert pipes() - before == set()
    assert not lock.locked()


def pipes() -> set[str]:
    """Those that this process has."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing, or another thread's
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return {target for target in found if target.startswith("pipe:")}


ORPHANS = """
import os, select, sys
from threading import Lock
from consumer.forking import Child
child = Child(lambda: select.select([], [], []), Lock())
print(child._pid, flush=True)
select.select([], [], [])
"""


def test_it_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        orphan = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            assert select.select([orphan], [], [], DEADLINE_SECONDS)[0]
        finally:
            os.close(orphan)


def test_an_end_that_somebody_else_was_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child(lambda: b"done", Lock())
    os.waitpid(child._pid, 0)
    assert child.outcome() == Outcome(b"done")
    Child(lambda: b"", Lock()).end()
