"""What happened, by fault: counted, shown, and summed up in one line of JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from checkpoint import Checked
from rich.table import Table
from story import KINDS, Story


@dataclass(slots=True)
class Row:
    """Of one story.

    Attributes:
        kind: of the story.
        times: how often it was played to its end.
        events: that Kafka took from its beginning until readers saw everything again.
        recoveries: seconds, of each time the longest.
        checks: comparisons that followed, before anything else was compared.
        skipped: why this machine does not play it.
    """

    kind: str
    times: int = 0
    events: int = 0
    recoveries: list[float] = field(default_factory=list)
    checks: list[Checked] = field(default_factory=list)
    skipped: str = ""


class Tally:
    """Rows by story, and comparisons that belong to no story."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.checks: list[Checked] = []
        self._unchecked: list[Row] = []

    def played(self, story: Story, events: int, recoveries: Iterable[float]) -> None:
        """A story came to its end."""
        row = self._row(story)
        row.times += 1
        row.events += events
        row.recoveries.append(max(recoveries))
        self._unchecked.append(row)

    def skipped(self, story: Story, reason: str) -> None:
        """This machine cannot play it."""
        self._row(story).skipped = reason

    def checked(self, found: Checked) -> None:
        """A comparison counts for every story since the comparison before."""
        self.checks.append(found)
        for row in {id(row): row for row in self._unchecked}.values():
            row.checks.append(found)
        self._unchecked = []

    def done(self, kind: str) -> int:
        """Stories of a kind that were played to their end."""
        return sum(row.times for row in self.rows.values() if row.kind == kind)

    def figures(self, seed: int, events: int, cost: float | None) -> dict[str, float | None]:
        """The last line."""
        counts = {"kills" if kind == "kill" else f"{kind}_faults": self.done(kind) for kind in KINDS}
        longest = [max(row.recoveries) for row in self.rows.values() if row.recoveries]
        return {
            "seed": seed,
            **counts,
            "events": events,
            "lost": max((found.lost for found in self.checks), default=0),
            "ghosts": max((found.ghosts for found in self.checks), default=0),
            "recall": round(min((found.recall for found in self.checks), default=0.0), 5),
            "worst_recovery_s": round(max(longest, default=0.0), 2),
            "durability_cost": None if cost is None else round(cost, 4),
        }

    def table(self) -> Table:
        """For people."""
        shown = Table(title="chaos", title_justify="left")
        for name in ("fault", "times", "events", "lost", "ghosts", "recall", "median s", "worst s"):
            shown.add_column(name, justify="left" if name == "fault" else "right")
        for name, row in sorted(self.rows.items(), key=lambda item: (item[1].kind, item[0])):
            shown.add_row(name, *(_cells(row) if row.times else ["skipped", row.skipped]))
        return shown

    def _row(self, story: Story) -> Row:
        return self.rows.setdefault(story.name, Row(story.kind))


def _cells(row: Row) -> Iterator[str]:
    yield f"{row.times}"
    yield f"{row.events}"
    yield f"{max((found.lost for found in row.checks), default=0)}"
    yield f"{max((found.ghosts for found in row.checks), default=0)}"
    yield f"{min((found.recall for found in row.checks), default=float('nan')):.4f}"
    yield f"{statistics.median(row.recoveries):.1f}"
    yield f"{max(row.recoveries):.1f}"
