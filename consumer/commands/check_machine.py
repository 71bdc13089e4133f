"""``doctor`` on this machine: the model bundle, the state folder, the packages."""

from __future__ import annotations

import os
import shutil
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from consumer.app import build_encoder
from consumer.client import age
from consumer.commands.findings import Finding, State, good, judged
from consumer.config import Settings
from consumer.errors import KinstreamError
from consumer.snapshot import newest

LEAST_FREE = 100 * 1024 * 1024
LITTLE_FREE = 1024 * 1024 * 1024
MIB = 1024 * 1024
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")


def check_machine(settings: Settings) -> list[Finding]:
    """Check what the service needs of the machine it is to run on."""
    return [runtimes(_installed()), model(settings), *state_folder(settings.state), newest_snapshot(settings)]


def runtimes(installed: list[str]) -> Finding:
    """Both packages provide the same module: which one wins is chance."""
    fault = State.FAILED if len(installed) != 1 else None
    remedy = "pip uninstall both, then install one: requirements/serving.txt (CPU) or requirements/gpu.txt"
    return judged("ONNX Runtime", fault, " and ".join(installed) or "not installed", remedy)


def model(settings: Settings) -> Finding:
    """Load what would encode."""
    try:
        encoder = build_encoder(settings)
    except KinstreamError as error:
        return Finding("model", State.FAILED, str(error), "set KINSTREAM_MODEL to the folder of a sound bundle")
    return good("model", f"{encoder.name}, {encoder.dim} dimensions, {encoder.provider}")


def state_folder(folder: Path) -> list[Finding]:
    """Writable, or to be made in a writable one; and room on its disk."""
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    writable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    where = str(folder) if nearest == folder.absolute() else f"{folder} (will be made)"
    remedy = f"make {nearest} a folder that this user may write to, or set KINSTREAM_STATE"
    return [
        judged("state folder", None if writable else State.FAILED, where, remedy),
        free_space(shutil.disk_usage(nearest).free),
    ]


def newest_snapshot(settings: Settings, now: float | None = None) -> Finding:
    """Its age and size; each damaged one is a fault, though a start makes do with the one before it."""
    skipped: list[str] = []
    found = newest(
        settings.state, settings.generation, lambda _: None, lambda *told: skipped.append(": ".join(map(str, told)))
    )
    if skipped:
        return Finding("snapshot", State.WARNING, "; ".join(skipped), "remove it, and look after the disk")
    if found is None:
        return good("snapshot", "none yet")
    old = age((time.time() if now is None else now) - found.created_at)
    found.close()
    return good("snapshot", f"{old} old, {found.nbytes / MIB:.1f} MiB")


def free_space(free: int) -> Finding:
    """Bytes free for snapshots."""
    fault = State.FAILED if free < LEAST_FREE else State.WARNING if free < LITTLE_FREE else None
    return judged("state folder free space", fault, f"{free // MIB} MiB", "free some, or set KINSTREAM_STATE")


def _installed() -> list[str]:
    return [name for name in RUNTIMES if _is_installed(name)]


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
