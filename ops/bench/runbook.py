"""Runbooks of the big-ann-benchmarks streaming track, and the vectors that they speak of.

A file names data sets; each has ``max_pts``, the most products alive at once, and steps 1, 2, … n: ``insert`` and ``delete``
{start, end}, ``replace`` {tags_start, tags_end, ids_start, ids_end}, ``search``. Ranges are half open. A *tag* names a
product for as long as it lives, an *id* is a row of the vectors; an insert uses the same number for both. ``gt_url`` is
ignored: the truth is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import yaml
from numpy.typing import NDArray

Operation = Literal["insert", "delete", "replace", "search"]
Vectors = NDArray[np.float32]

FIELDS: dict[str, tuple[str, ...]] = {
    "insert": ("start", "end"),
    "delete": ("start", "end"),
    "replace": ("tags_start", "tags_end", "ids_start", "ids_end"),
    "search": (),
}
BINARY = {".fbin": np.float32, ".u8bin": np.uint8, ".i8bin": np.int8}
"""Endings of big-ann files: two uint32, rows and dimensions, then the rows."""
HEADER_BYTES = 8
NOTHING = range(0)
BLOCK = 65_536
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RunbookError(ValueError):
    """A file that cannot be used; the message is one line that says where and what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step; ``ids`` has a vector's row for each tag, and is empty where no vector is needed."""

    number: int
    operation: Operation
    tags: range
    ids: range


@dataclass(frozen=True, slots=True)
class Runbook:
    """The steps of one data set, in order."""

    dataset: str
    max_pts: int
    steps: tuple[Step, ...]

    @property
    def rows(self) -> int:
        """How many vectors the steps need."""
        return max((step.ids.stop for step in self.steps), default=0)

    @property
    def tags(self) -> int:
        """One more than the highest tag."""
        return max((step.tags.stop for step in self.steps), default=0)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a file something is wrong."""

    file: Path
    dataset: str
    step: int | None = None

    def fail(self, field: str, value: object, remedy: str) -> NoReturn:
        step = "" if self.step is None else f", step {self.step}"
        raise RunbookError(f"{self.file}: {self.dataset}{step}, {field}: {value!r}: {remedy}")


def read_runbook(file: Path, dataset: str | None = None) -> Runbook:
    """Read and check one data set of a file; the only one when none is named."""
    content = _load(file)
    name = _choose(file, list(content), dataset)
    place = _Place(file, name)
    body = content[name]
    if not isinstance(body, dict):
        place.fail("data set", body, "write max_pts and the steps 1, 2, … below the name")
    max_pts = _whole(place, "max_pts", body.get("max_pts"), 1)
    numbers = sorted(key for key in body if isinstance(key, int))
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        missing = next(number for number in range(1, len(numbers) + 2) if number not in numbers)
        place.fail("steps", missing, "is missing: number the steps 1, 2, … without a gap")
    steps = tuple(_step(_Place(file, name, number), number, body[number]) for number in numbers)
    runbook = Runbook(name, max_pts, steps)
    _check_live(place, runbook)
    return runbook


def write_runbook(runbook: Runbook, file: Path) -> None:
    """Write the format that read_runbook reads."""
    body: dict[str | int, Any] = {"max_pts": runbook.max_pts}
    for step in runbook.steps:
        bounds = (step.tags.start, step.tags.stop, step.ids.start, step.ids.stop)
        names = FIELDS[step.operation]
        body[step.number] = {"operation": step.operation, **dict(zip(names, bounds, strict=False))}
    file.write_text(yaml.safe_dump({runbook.dataset: body}, sort_keys=False))


def read_vectors(file: Path, rows: int | None) -> Vectors:
    """The first ``rows`` vectors [rows, dim], or all, made float32 and L2-normalised, of .npy, .fbin, .u8bin or .i8bin."""
    raw = _open_vectors(file)
    rows = len(raw) if rows is None else rows
    if len(raw) < rows:
        raise RunbookError(f"{file}: {len(raw)} vectors, and the runbook needs {rows}: give the file of this data set")
    vectors = np.empty((rows, raw.shape[1]), np.float32)
    for start in range(0, rows, BLOCK):
        block = raw[start : min(start + BLOCK, rows)].astype(np.float32)
        norms = np.linalg.norm(block, axis=1)
        bad = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
        if len(bad):
            raise RunbookError(f"{file}: row {start + bad[0]} is zero or not finite: it has no direction, remove it")
        vectors[start : start + len(block)] = block / norms[:, None]
    return vectors


def _load(file: Path) -> dict[str, Any]:
    try:
        content = yaml.load(file.read_text(), LOADER)
    except OSError as problem:
        raise RunbookError(f"{file}: {problem.strerror}: name a runbook that can be read") from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise RunbookError(f"{file}: {' '.join(str(problem).split())}: write valid YAML") from None
    if not isinstance(content, dict) or not content:
        raise RunbookError(f"{file}: {type(content).__name__} at the top: start with the name of a data set")
    return {str(name): body for name, body in content.items()}


def _choose(file: Path, names: list[str], wanted: str | None) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return str(wanted)
    said = "several data sets" if wanted is None else f"no data set {wanted!r}"
    raise RunbookError(f"{file}: {said}: choose one of {', '.join(names)} with --dataset")


def _step(place: _Place, number: int, body: object) -> Step:
    if not isinstance(body, dict):
        place.fail("step", body, "write an operation and its range")
    operation = body.get("operation")
    if operation not in FIELDS:
        place.fail("operation", operation, f"write one of {', '.join(FIELDS)}")
    values = [_whole(place, field, body.get(field), 0) for field in FIELDS[operation]]
    for field, start, end in zip(FIELDS[operation][1::2], values[::2], values[1::2], strict=True):
        if end < start:
            place.fail(field, end, f"is below its start {start}: ranges are half open, start to end")
    ranges = [range(start, end) for start, end in zip(values[::2], values[1::2], strict=True)] or [NOTHING]
    if operation == "replace" and len(ranges[0]) != len(ranges[1]):
        place.fail("ids_end", values[3], f"makes {len(ranges[1])} ids for {len(ranges[0])} tags: give each tag one id")
    ids = NOTHING if operation == "delete" else ranges[-1]
    return Step(number, operation, ranges[0], ids)


def _whole(place: _Place, field: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        place.fail(field, value, f"write a whole number of at least {least}")
    return value


def _check_live(place: _Place, runbook: Runbook) -> None:
    """No step may bring more products to life than ``max_pts``."""
    live = np.zeros(runbook.tags, np.bool_)
    for step in runbook.steps:
        live[step.tags.start : step.tags.stop] = step.operation != "delete"
        if step.operation != "delete" and (alive := int(np.count_nonzero(live))) > runbook.max_pts:
            _Place(place.file, place.dataset, step.number).fail(
                "max_pts", runbook.max_pts, f"{alive} products are alive after this step: raise max_pts"
            )


def _open_vectors(file: Path) -> NDArray[Any]:
    if file.suffix == ".npy":
        return _open_npy(file)
    if file.suffix in BINARY:
        return _open_binary(file, np.dtype(BINARY[file.suffix]))
    raise RunbookError(f"{file}: unknown ending {file.suffix!r}: use .npy, {', '.join(BINARY)}")


def _open_npy(file: Path) -> NDArray[Any]:
    try:
        raw: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as problem:
        raise RunbookError(f"{file}: {problem}: write it with numpy.save") from None
    if raw.ndim != 2 or raw.dtype.kind not in "fiu":
        raise RunbookError(f"{file}: {raw.dtype} {list(raw.shape)}: needs numbers in the shape [rows, dimensions]")
    return raw


def _open_binary(file: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        size = file.stat().st_size
        rows, dim = np.fromfile(file, np.uint32, 2).tolist() if size >= HEADER_BYTES else (0, 0)
    except OSError as problem:
        raise RunbookError(f"{file}: {problem.strerror}: name a file that can be read") from None
    due = HEADER_BYTES + rows * dim * dtype.itemsize
    if not rows * dim or size < due:
        raise RunbookError(f"{file}: {size} bytes, and its header asks for {due}: fetch the whole file")
    return np.memmap(file, dtype, "r", HEADER_BYTES, (rows, dim))
