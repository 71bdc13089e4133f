"""What a check of ``doctor`` finds."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from consumer.commands.endings import FAILED, UNREACHABLE


class State(StrEnum):
    """How a check ended; a warning is no fault."""

    GOOD = "good"
    WARNING = "warning"
    FAILED = "FAILED"
    UNREACHABLE = "UNREACHABLE"


class Finding(msgspec.Struct, frozen=True):
    """One line of the report: what was checked, what is the case, and what to do about it."""

    check: str
    state: State
    detail: str
    remedy: str = ""


def good(check: str, detail: str) -> Finding:
    """Nothing to do."""
    return Finding(check, State.GOOD, detail)


def judged(check: str, fault: State | None, detail: str, remedy: str) -> Finding:
    """Good when there is no fault; else the fault and its remedy."""
    return good(check, detail) if fault is None else Finding(check, fault, detail, remedy)


def exit_code_of(findings: Sequence[Finding]) -> int:
    """0 when nothing but warnings was found; an unreachable server outweighs a failed check."""
    states = {finding.state for finding in findings}
    if State.UNREACHABLE in states:
        return UNREACHABLE
    return FAILED if State.FAILED in states else 0
