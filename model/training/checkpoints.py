"""The checkpoints of a run: whole or absent, the newest and the best kept, and resumed from after any kind of end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import torch

from model.checkpoint import CheckpointError, read

KEEP = 2
STEPS, BEST = "step-*.pt", "best.pt"


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What a run goes on from.

    Attributes:
        step: steps that are done.
        fingerprint: of the configuration; another one may not go on from this.
        network: see ``model.checkpoint.packed``.
        state: of the objective, the optimiser, random numbers, and of what validation found so far.
    """

    step: int
    fingerprint: str
    network: dict[str, Any]
    state: dict[str, Any]


class Checkpoints:
    """Those of one run, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, checkpoint: Checkpoint) -> None:
        """Write one, and remove all but the newest of the others."""
        _write(self._folder / f"step-{checkpoint.step:08d}.pt", checkpoint)
        for old in self._steps()[:-KEEP]:
            old.unlink()

    def save_best(self, checkpoint: Checkpoint) -> None:
        """Write the one that validated best so far."""
        _write(self._folder / BEST, checkpoint)

    def newest(self, fingerprint: str) -> Checkpoint | None:
        """The newest that can be read, or None when there is none.

        Raises:
            CheckpointError: it is of another configuration.
        """
        for path in reversed(self._steps()):
            try:
                found = _read(path)
            except CheckpointError:
                continue  # cut off by a full disk, say: the one before is as good
            if found.fingerprint != fingerprint:
                raise CheckpointError(
                    f"{path} was made with another configuration ({found.fingerprint[:12]}, now it is "
                    f"{fingerprint[:12]}): name another --out, or remove the folder"
                )
            return found
        return None

    def best(self) -> Checkpoint:
        """The one that validated best.

        Raises:
            CheckpointError: there is none, or it cannot be read.
        """
        return _read(self._folder / BEST)

    def _steps(self) -> list[Path]:
        return sorted(self._folder.glob(STEPS))


def _write(path: Path, checkpoint: Checkpoint) -> None:
    """Under another name first: a file of this name is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".part")
    with scratch.open("wb") as file:
        torch.save(msgspec.structs.asdict(checkpoint), file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def _read(path: Path) -> Checkpoint:
    content = read(path)
    try:
        return Checkpoint(**content)
    except TypeError as error:
        raise CheckpointError(f"{path} is no checkpoint of a training ({error}): name the folder of a run") from error
