"""Asks the vulnerability services about every locked package: part of `make lint`.

A finding ends it with 1, unless requirements/audit-ignore.txt names it with a reason. A service that cannot be reached
is said out loud, and ends with 0: a build without a network must not pass in silence for an audited one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "dev.txt"
"""Has everything that serving.txt has, and what development needs."""
PROBE = ROOT / "requirements" / "audit-probe.txt"
"""One package that every service knows: asking for it first tells within a second whether a service answers."""
IGNORED = ROOT / "requirements" / "audit-ignore.txt"
SERVICES = ("pypi", "osv")
SECONDS = 60.0
"""For the answer of one service."""


@dataclass(frozen=True)
class Answer:
    """What a service said: id of each vulnerability -> what it is about, and how many packages it knew of how many."""

    service: str
    found: Mapping[str, str]
    known: int
    asked: int


def main() -> int:
    """Ask one service after the other until one knows the packages."""
    ignored = read_ignored(IGNORED)
    for service in SERVICES:
        if knows_something(ask(service, PROBE)):
            answer = ask(service, LOCK)
            if answer is not None and knows_something(answer):
                return judge(answer, ignored)
    print(
        f"✗ NOT AUDITED: no vulnerability service knows the packages of {LOCK.name} or can be reached "
        f"({', '.join(SERVICES)}). Run `make lint` where there is a network.",
        file=sys.stderr,
    )
    return 0


def knows_something(answer: Answer | None) -> bool:
    """Whether it is an answer at all: one that knows no package says nothing about them."""
    return answer is not None and answer.known > 0


def ask(service: str, lock: Path) -> Answer | None:
    """The answer of a service, None when it gives none."""
    command = [sys.executable, "-m", "pip_audit", "-r", str(lock), "--no-deps", "--disable-pip"]
    options = ["-s", service, "-f", "json", "--progress-spinner", "off", "--timeout", "5"]
    try:
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=SECONDS)
        return read_answer(service, json.loads(done.stdout))
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None


def read_answer(service: str, report: Mapping[str, Any]) -> Answer:
    """The report of pip-audit; a package with a ``skip_reason`` is one that the service does not know."""
    packages = report["dependencies"]
    known = [package for package in packages if "skip_reason" not in package]
    return Answer(service, dict(_findings(known)), len(known), len(packages))


def judge(answer: Answer, ignored: Mapping[str, str]) -> int:
    """Say what was found; 1 when there is something that is not ignored."""
    open_ones = {id: text for id, text in answer.found.items() if id not in ignored}
    for text in open_ones.values():
        print(f"✗ {text}", file=sys.stderr)
    for id in sorted(ignored.keys() - answer.found.keys()):
        print(f"warning: {IGNORED.name} names {id}, which is no longer found: remove the line", file=sys.stderr)
    if answer.known < answer.asked:
        print(f"warning: {answer.service} knows {answer.known} of {answer.asked} packages only", file=sys.stderr)
    return 1 if open_ones else 0


def read_ignored(file: Path) -> dict[str, str]:
    """Lines of an id and the reason why it does no harm here.

    Raises:
        SystemExit: a line has no reason.
    """
    lines = [line.strip() for line in file.read_text().splitlines()]
    parts = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    for id, _, reason in parts:
        if not reason.strip():
            raise SystemExit(f"{file.name}: {id} has no reason: write why it does no harm here behind it")
    return {id: reason.strip() for id, _, reason in parts}


def _findings(packages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for package in packages:
        for fault in package["vulns"]:
            remedy = f"upgrade to {', '.join(fault['fix_versions'])}" if fault["fix_versions"] else "no fix is known"
            aliases = ", ".join(fault["aliases"])
            yield fault["id"], f"{package['name']} {package['version']}: {fault['id']} ({aliases}); {remedy}"


if __name__ == "__main__":
    sys.exit(main())
