"""``kinstream run`` as a supervisor keeps it: started again whenever it ends by itself."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from subprocess import run

from daemon import ChaosError, Daemon
from processes import free_port

ROOT = Path(__file__).resolve().parents[2]
KINSTREAM = [sys.executable, "-m", "consumer"]
READY_SECONDS = 90.0


class Service(Daemon):
    """One process with its own state folder and port."""

    def __init__(self, name: str, folder: Path, settings: dict[str, str]) -> None:
        """Settings are in small letters, without their prefix."""
        folder.mkdir(parents=True)
        self.state = folder / "state"
        self._port = free_port()
        own = {"state": str(self.state), "metrics_port": str(self._port)}
        names = {f"KINSTREAM_{key.upper()}": value for key, value in (settings | own).items()}
        rest = {key: value for key, value in os.environ.items() if not key.startswith("KINSTREAM_")}
        super().__init__(name, [*KINSTREAM, "run"], folder / "service.log", rest | names)
        self.ended: list[int | None] = []
        """Exit codes of the lives that it ended by itself."""

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        self.wait("ready", self.ready, READY_SECONDS, 0.1)

    def tend(self) -> None:
        """Start it again if it ended by itself."""
        if self.pid is None and self.code is not None:
            self.ended.append(self.code)
            self.launch()

    def ready(self) -> bool:
        """Whether it says so."""
        return self._get("/readyz") is not None

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels; a label may be part of the name. 0 when it does not answer."""
        lines = [line for line in (self._get("/metrics") or "").splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def verify(self) -> dict[str, float]:
        """What ``kinstream verify --json`` says.

        Raises:
            ChaosError: it says nothing.
        """
        done = run(
            [*KINSTREAM, "verify", "--json"], env=self.environment, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        if not done.stdout.strip():
            raise ChaosError(f"kinstream verify ended with {done.returncode}: {done.stderr.strip()[-300:]}")
        verified: dict[str, float] = json.loads(done.stdout)
        return verified

    def snapshots(self) -> list[Path]:
        """The finished ones, oldest first."""
        return sorted(path.parent for path in self.state.glob("*/snapshots/*/manifest.json"))

    def _get(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=2) as answer:
                return str(answer.read().decode())
        except (urllib.error.HTTPError, OSError):
            return None
