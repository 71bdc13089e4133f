"""The folder that the snapshots of a generation lie in: named by age, complete or absent, the newest kept.

A snapshot is written into a folder beside the others, which its writer locks, and is renamed when it is complete. What dead
writers left is told by its lock being free, and removed by the next one.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from consumer.snapshot_files import sync

KEPT = 2
NAME = re.compile(r"\d{15}")
"""Milliseconds since 1970."""
UNFINISHED = ".unfinished-"


def snapshots_folder(state: Path, generation: str) -> Path:
    """Where the snapshots of a generation lie in the state folder."""
    return state / generation / "snapshots"


def snapshots_in(folder: Path) -> list[Path]:
    """Its snapshots, oldest first; none when there is no such folder, or another file in its place."""
    try:
        return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A new folder to write a snapshot into, gone at the end of the block unless it was published."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        _clear(folder)
        path = folder / f"{UNFINISHED}{uuid.uuid4().hex}"
        path.mkdir()
        lock = _lock(path, fcntl.LOCK_EX)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def publish(folder: Path, path: Path, now: float, sound: Callable[[Path], bool]) -> Path:
    """Give what was written its name, later than all others even if the clock went back; prune. Returns the new path."""
    with _locked(folder):
        milliseconds = int(now * 1000)
        for other in snapshots_in(folder):
            milliseconds = max(milliseconds, int(other.name) + 1)
        target = path.rename(folder / f"{milliseconds:015}")
        sync(folder)
        for old in _spare(folder, sound):
            _remove(old)
    return target


def _spare(folder: Path, sound: Callable[[Path], bool]) -> Iterator[Path]:
    """Those that are older than the newest sound ones."""
    found = 0
    for path in reversed(snapshots_in(folder)):
        if found == KEPT:
            yield path
        elif sound(path):
            found += 1


def _remove(path: Path) -> None:
    """Rename first: a reader finds all of it or nothing."""
    shutil.rmtree(path.rename(path.with_name(UNFINISHED + path.name)))


def _clear(folder: Path) -> None:
    for path in folder.glob(f"{UNFINISHED}*"):
        try:
            lock = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = _lock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def _lock(folder: Path, how: int) -> int:
    """Lock a folder until what this returns is closed, or its process ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
