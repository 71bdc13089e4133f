"""What people see of a training: a line of CSV a step, a progress bar, and a plot of the loss."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

FIELDS = ("step", "loss", "learning_rate", "seconds", "recall")
SMOOTH = 0.9
"""Share of the former average in the loss that is shown."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One step; ``recall`` of the validation after it, where there was one; ``seconds`` of the step."""

    step: int
    loss: float
    learning_rate: float
    seconds: float
    recall: float | None = None


class Logbook:
    """The log of a run as ``log.csv``; entries beyond the step that a run goes on from are dropped."""

    def __init__(self, folder: Path, done: int) -> None:
        self._path = folder / "log.csv"
        kept = [entry for entry in read(self._path) if entry.step <= done]
        with self._path.open("w", newline="") as file:
            csv.writer(file).writerow(FIELDS)
        for entry in kept:
            self.write(entry)

    def write(self, entry: Entry) -> None:
        """Add one."""
        recall = "" if entry.recall is None else f"{entry.recall:.4f}"
        row = [entry.step, f"{entry.loss:.5f}", f"{entry.learning_rate:.3e}", f"{entry.seconds:.3f}", recall]
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow(row)


def read(path: Path) -> list[Entry]:
    """All entries of a log; none when there is no file. A last line that was cut off is left out."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("recall") is not None]
    return [
        Entry(
            int(row["step"]), float(row["loss"]), float(row["learning_rate"]), float(row["seconds"]),
            float(row["recall"]) if row["recall"] else None,
        )
        for row in rows
    ]  # fmt: skip


def plot(folder: Path) -> None:
    """Draw loss and validation recall by step to ``log.svg``."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # a second to import, only for this

    entries = read(folder / "log.csv")
    figure = Figure(figsize=(7, 4), layout="constrained")
    loss = figure.subplots()
    loss.plot([entry.step for entry in entries], [entry.loss for entry in entries], color="C0", linewidth=0.8)
    loss.set(xlabel="step", ylabel="loss")
    validated = [entry for entry in entries if entry.recall is not None]
    if validated:
        recall = loss.twinx()
        recall.plot([e.step for e in validated], [e.recall or 0 for e in validated], "o-", color="C1", markersize=3)
        recall.set(ylabel="validation recall@1")
    figure.savefig(folder / "log.svg")


class Bar:
    """Steps done, loss, learning rate and time left; use it as a context manager. ``quiet`` shows nothing."""

    def __init__(self, steps: int, done: int, quiet: bool) -> None:
        columns = (
            TextColumn("training"), BarColumn(), MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]} · rate {task.fields[rate]} ·"), TimeRemainingColumn(),
        )  # fmt: skip
        self._progress = Progress(*columns, console=Console(stderr=True, quiet=quiet), disable=quiet)
        self._task = self._progress.add_task("", total=steps, completed=done, loss="…", rate="…")
        self._average: float | None = None

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, entry: Entry) -> None:
        """A step is done."""
        average = entry.loss if self._average is None else SMOOTH * self._average + (1 - SMOOTH) * entry.loss
        self._average = average
        self._progress.update(
            self._task, completed=entry.step, loss=f"{average:.3f}", rate=f"{entry.learning_rate:.1e}"
        )

    def say(self, line: str) -> None:
        """A line above the bar."""
        self._progress.console.print(line, highlight=False)
