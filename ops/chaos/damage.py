"""What can happen to a state folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from story import Skipped
from world import World

SMALL = "16k"


def newest_file(world: World) -> Path | None:
    """Any file of the newest snapshot of the main service; None when there is no snapshot yet."""
    snapshots = world.main.snapshots()
    if not snapshots:
        return None
    return world.random.choice([file for file in sorted(snapshots[-1].iterdir()) if file.stat().st_size])


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """The folder has no room for a snapshot meanwhile.

    Raises:
        Skipped: root may write everywhere, and may not mount here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)], capture_output=True, check=False
        )
        if mounted.returncode != 0:
            raise Skipped("root may write everywhere, and may not mount a small disk here")
    else:
        folder.chmod(0o500)
    try:
        yield
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        else:
            folder.chmod(0o700)
