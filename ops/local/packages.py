"""Programs that the servers need: found, or installed where that is possible, or named with the remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from processes import ServerError

PACKAGES = {
    "java": "openjdk-17-jre-headless",
    "mvn": "maven",
    "redis-server": "redis-server",
    "prometheus": "prometheus",
}
POLICY = Path("/usr/sbin/policy-rc.d")


def require(programs: Sequence[str]) -> None:
    """Make sure that the programs are there.

    Raises:
        ServerError: one is missing and cannot be installed here.
    """
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    names = " ".join(PACKAGES[program] for program in missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ServerError(f"{', '.join(missing)} is missing: install it, on Debian with: sudo apt-get install {names}")
    print(f"installing {names} …", flush=True)
    with _no_autostart():
        if _apt("install", *names.split()).returncode != 0:
            _apt("update")
            done = _apt("install", *names.split())
            if done.returncode != 0:
                raise ServerError(f"apt-get install {names} failed: {done.stderr.strip().splitlines()[-1:]}")


def _apt(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["apt-get", "-y", "-qq", "--no-install-recommends", *arguments]
    return subprocess.run(
        command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, capture_output=True, text=True, check=False
    )


@contextmanager
def _no_autostart() -> Iterator[None]:
    """Debian starts a service when it installs one; ours run on their own ports, with their own data."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
