"""Private servers and a service for the demo and the benchmarks: started, asked, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from processes import free_port
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ROOT / "ops" / "local" / "servers.py"


class ShopError(Exception):
    """The shop cannot go on; one line."""


class Shop:
    """Private servers on free ports, and ``kinstream`` with settings that point at them."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Settings are those of the service, in small letters without their prefix."""
        self.folder = folder
        self.ports = {name: free_port() for name in ("kafka", "redis", "prometheus", "metrics")}
        self.settings = {
            "KINSTREAM_KAFKA": f"127.0.0.1:{self.ports['kafka']}",
            "KINSTREAM_REDIS": f"redis://127.0.0.1:{self.ports['redis']}/0",
            "KINSTREAM_METRICS_PORT": str(self.ports["metrics"]),
            "KINSTREAM_STATE": str(folder / "state"),
        }
        self.set(**settings)
        self._service: subprocess.Popen[bytes] | None = None

    def set(self, **settings: str) -> None:
        """Change settings of the services and commands started from now on."""
        self.settings |= {f"KINSTREAM_{name.upper()}": value for name, value in settings.items()}
        self._environment = {n: v for n, v in os.environ.items() if not n.startswith("KINSTREAM_")} | self.settings

    @property
    def service_pid(self) -> int | None:
        """Process id of the service."""
        return None if self._service is None else self._service.pid

    def start_servers(self, *names: str) -> None:
        """Those of kafka, redis and prometheus that are named; all, if none is."""
        only = [part for name in names for part in ("--only", name)]
        ports = [part for name, port in self.ports.items() for part in (f"--{name}-port", str(port))]
        cache = ROOT / ".local"
        _run(
            [sys.executable, str(SERVERS), "up", "--root", str(self.folder), "--cache", str(cache), *only, *ports],
            self._environment,
        )

    def start_service(self) -> None:
        """``kinstream run``, until it is ready."""
        with (self.folder / "service.log").open("ab") as log:
            self._service = subprocess.Popen(self._kinstream("run"), env=self._environment, stdout=log, stderr=log)
        self.wait(lambda: self._get("/readyz") is not None, 120)

    def stop(self, keep: bool) -> None:
        """Stop the service, and the servers unless they are kept."""
        if keep:
            return
        self.stop_service()
        subprocess.run(
            [sys.executable, str(SERVERS), "down", "--root", str(self.folder)],
            env=self._environment, capture_output=True, check=False,
        )  # fmt: skip

    def stop_service(self) -> None:
        """Ask the service to end, and wait for it."""
        if self._service is not None and self._service.poll() is None:
            self._service.send_signal(signal.SIGTERM)
            try:
                self._service.wait(60)
            except subprocess.TimeoutExpired:
                self._service.kill()
                self._service.wait()

    def signal_service(self, number: signal.Signals) -> None:
        """Send a signal to the service."""
        if self._service is not None:
            self._service.send_signal(number)

    def resident_bytes(self) -> int:
        """Memory that the service holds."""
        pages = int(Path(f"/proc/{self.service_pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a kinstream command to its end."""
        return _run(self._kinstream(*arguments), self._environment, check)

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a kinstream command."""
        return subprocess.Popen(
            self._kinstream(*arguments), env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def neighbours(self, id: str) -> list[str]:
        """Ids on a product's list; empty for an unknown one."""
        done = self.command("neighbours", id, "-k", "5", "--json", check=False)
        return [hit["id"] for hit in json.loads(done.stdout)["neighbours"]] if done.returncode == 0 else []

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        """A metric's samples: labels and value."""
        families = text_string_to_metric_families(self._get("/metrics") or "")
        return [
            (sample.labels, sample.value) for family in families for sample in family.samples if sample.name == name
        ]

    def outcomes(self) -> dict[str, int]:
        """Events applied so far, by outcome."""
        return {labels["outcome"]: int(value) for labels, value in self.samples("kinstream_events_total")}

    def wait(self, condition: Callable[[], bool], seconds: float, pause: float = 0.1) -> None:
        """Wait for a condition while the service lives.

        Raises:
            ShopError: it died, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if self._service is not None and self._service.poll() is not None:
                raise ShopError(f"the service ended by itself; see {self.folder / 'service.log'}")
            if time.monotonic() > deadline:
                raise ShopError(f"the service did not get there in {seconds:g} s; see {self.folder / 'service.log'}")
            time.sleep(pause)

    def _kinstream(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "consumer", *arguments]

    def _get(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['metrics']}{path}", timeout=10) as answer:
                return str(answer.read().decode())
        except (urllib.error.HTTPError, OSError):
            return None


def percentile(buckets: list[tuple[float, float]], share: float) -> float:
    """Linear interpolation in cumulative histogram buckets (bound in seconds, count), as Prometheus does."""
    wanted = share * buckets[-1][1]
    lower, before = 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted and count > before:
            upper = bound if bound != float("inf") else lower
            return lower + (upper - lower) * (wanted - before) / (count - before)
        lower, before = bound, count
    return lower


def _run(command: list[str], environment: dict[str, Any], check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise ShopError(
            f"{' '.join(command[2:5])} … ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
        )
    return done
