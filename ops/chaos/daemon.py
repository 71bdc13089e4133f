"""A program that is killed, paused, stopped and started again, by its own pid."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

STOP_SECONDS = 60.0


class ChaosError(Exception):
    """The suite cannot go on; one line."""


class Daemon:
    """One program, with a log that is kept over its lives."""

    def __init__(self, name: str, command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        """``command`` is the program, to be run in the log's folder; ``environment`` is that of this process if None."""
        self.name = name
        self.command = command
        self.log = log
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """None when it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def code(self) -> int | None:
        """What it ended with, None while it runs or before it ever did."""
        return None if self._process is None else self._process.poll()

    def launch(self) -> None:
        """Start it, without waiting until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                cwd=self.log.parent, start_new_session=True,
            )  # fmt: skip

    def send(self, number: signal.Signals) -> None:
        """A signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not heeded."""
        self.send(signal.SIGTERM)
        if self._process is not None:
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def pause(self) -> None:
        """SIGSTOP."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def wait(self, what: str, condition: Callable[[], bool], seconds: float, every: float = 0.05) -> None:
        """Wait for a condition while it runs.

        Raises:
            ChaosError: it ended, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if self.pid is None:
                raise ChaosError(f"{self.name} ended with {self.code} before it was {what}; see {self.log}")
            if time.monotonic() > deadline:
                raise ChaosError(f"{self.name} was not {what} within {seconds:g} s; see {self.log}")
            time.sleep(every)
