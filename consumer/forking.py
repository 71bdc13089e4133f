"""Work in a child process that has this one's memory of the moment: it runs once, alone, and says what became of it."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import warnings
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import NoReturn

import msgspec

CHANNEL = 3
"""File descriptor by which the child tells what became of its work; it has no other."""
NICENESS = 10
PR_SET_PDEATHSIG = 1
MOST_TOLD = 65_536
"""Bytes that a pipe takes without a reader."""
LONGEST_REASON = 4_000

_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Outcome(msgspec.Struct, frozen=True):
    """What became of the work: its result, or why there is none."""

    result: bytes | None = None
    failure: str = ""


class Child:
    """A child process at work.

    Args:
        work: what it does; an exception is its failure.
        lock: held at the moment of the fork, so that nothing is half done.

    Raises:
        OSError: there cannot be another process.
    """

    def __init__(self, work: Callable[[], bytes], lock: Lock) -> None:
        self._channel, channel = os.pipe()
        parent = os.getpid()
        try:
            with warnings.catch_warnings(), lock:
                # Python 3.12 warns of locks that another thread may hold. The child takes none: it starts no thread,
                # logs nothing, writes files, and leaves by os._exit.
                warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
                self._pid = os.fork()
                if not self._pid:
                    _run(work, channel, parent)
        except OSError:
            os.close(self._channel)
            raise
        finally:
            os.close(channel)

    def outcome(self) -> Outcome | None:
        """What became of the work, once; None while it goes on."""
        try:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:  # somebody else was told of its end
            pid, status = self._pid, 0
        return self._told(status) if pid else None

    def kill(self) -> None:
        """End it; outcome() tells so."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def end(self) -> None:
        """End it and wait until it is gone."""
        self.kill()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        os.close(self._channel)

    def _told(self, status: int) -> Outcome:
        told = os.read(self._channel, MOST_TOLD)
        os.close(self._channel)
        if told:
            return msgspec.msgpack.decode(told, type=Outcome)
        return Outcome(failure=f"its process ended with {os.waitstatus_to_exitcode(status)}")


def _run(work: Callable[[], bytes], channel: int, parent: int) -> NoReturn:
    """In the child: never returns, whatever happens."""
    outcome = Outcome(failure="it did not begin")
    try:
        _detach(channel, parent)
        outcome = Outcome(work())
    except BaseException as error:
        outcome = Outcome(failure=(str(error) or repr(error))[:LONGEST_REASON])
    finally:
        try:
            os.write(CHANNEL, msgspec.msgpack.encode(outcome))
        finally:
            os._exit(0 if outcome.result is not None else 1)


def _detach(channel: int, parent: int) -> None:
    """Die with the parent, and let go of its files and sockets, so that a killed parent's port is free at once."""
    gc.disable()
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group; the parent decides
    os.dup2(channel, CHANNEL)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > CHANNEL:
            with suppress(OSError):  # the listing itself had one
                os.close(descriptor)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(CHANNEL):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    os.nice(NICENESS)
