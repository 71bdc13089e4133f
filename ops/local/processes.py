"""Starting and stopping one server: its own folder, its own pid, a check that it answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STOP_SECONDS = 15.0


class ServerError(Exception):
    """A server cannot be had or does not work; the message is one line with the remedy."""


@dataclass(frozen=True)
class Server:
    """A server with its data, log and pid file under one folder."""

    name: str
    folder: Path
    port: int
    command: list[str]
    start_seconds: float

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / "server.pid"

    def pid(self) -> int | None:
        """The pid, if the process that was started is still the one that runs under it."""
        try:
            pid, started = map(int, self.pid_file.read_text().split())
        except (FileNotFoundError, ValueError):
            return None
        return pid if _start_time(pid) == started else None

    def start(self) -> None:
        """Start it and wait until its port answers.

        Raises:
            ServerError: somebody else has the port, or it does not come up.
        """
        if answers(self.port):
            raise ServerError(
                f"port {self.port} for {self.name} is in use: stop what runs there or pass --{self.name}-port"
            )
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        self.pid_file.write_text(f"{process.pid} {_start_time(process.pid)}\n")
        if not wait_until(lambda: answers(self.port) or process.poll() is not None, self.start_seconds) or not answers(
            self.port
        ):
            self.stop()
            raise ServerError(
                f"{self.name} did not come up on port {self.port}; the end of {self.log}:\n{self._log_end()}"
            )

    def stop(self) -> bool:
        """Stop it by its own pid; False when it does not run."""
        pid = self.pid()
        if pid is None:
            self.pid_file.unlink(missing_ok=True)
            return False
        os.kill(pid, signal.SIGTERM)
        if not wait_until(lambda: self.pid() is None, STOP_SECONDS):
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: self.pid() is None, STOP_SECONDS)
        self.pid_file.unlink(missing_ok=True)
        return True

    def _log_end(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def answers(port: int) -> bool:
    """Whether something listens on 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition; whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _start_time(pid: int) -> int | None:
    """When a process started, in clock ticks; with the pid it names one process for good. None for the dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])
