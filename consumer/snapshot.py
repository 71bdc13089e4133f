"""Snapshots of the state, from which a start goes on instead of reading the whole topic.

A snapshot is complete and sound, or it is not used: its manifest is written last and protects itself and all other files.
``docs/architecture.md`` tells the format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import structlog

from consumer import snapshot_state
from consumer.catalogue import Catalogue
from consumer.errors import KinstreamError
from consumer.neighbours import NeighbourGraph
from consumer.snapshot_files import FileSum, FilesWriter, OpenFiles
from consumer.snapshot_folder import publish, snapshots_folder, snapshots_in, unfinished
from consumer.snapshot_manifest import FORMAT, Made, Manifest, Place, decoded
from consumer.types import Export
from producer.events import Product

__all__ = ["Fits", "Made", "Manifest", "Place", "Snapshot", "check_folder", "newest", "restore", "write"]

log = structlog.get_logger(__name__)


Fits = Callable[[Manifest], str | None]
"""Why a snapshot cannot be used, or None."""


class Snapshot:
    """A sound snapshot on disk. It can be read until it is closed, even when it is pruned meanwhile."""

    def __init__(self, path: Path, fits: Fits) -> None:
        """Open and verify.

        Raises:
            KinstreamError: it is damaged, of another format, or does not fit.
            OSError: it cannot be read.
        """
        self.path = path
        self.files = OpenFiles(path)
        self.close = self.files.close
        self.manifest = decoded(self.files.manifest())
        reason = fits(self.manifest)
        if reason is not None:
            raise KinstreamError(reason)
        self.files.check(self.manifest.files)

    @property
    def created_at(self) -> float:
        """Unix seconds."""
        return self.manifest.created_at

    @property
    def made(self) -> Made:
        """What it was made with."""
        return self.manifest.made

    @property
    def place(self) -> Place:
        """How far it has read."""
        return self.manifest.place

    @property
    def nbytes(self) -> int:
        """Bytes of all files but the manifest."""
        return sum(file.bytes for file in self.manifest.files.values())

    def waiting(self) -> list[Product]:
        """The products that were encoded without an image that was still waited for."""
        return snapshot_state.waiting_of(self.files)

    def export(self) -> Export:
        """Ids, vectors and availability."""
        products = snapshot_state.products_of(self.files)
        arrays = snapshot_state.arrays_of(self.files)
        sites = arrays["site_of"][[known.slot for known in products.values()]]
        available = np.array([known.available for known in products.values()], np.bool_)
        return Export(self.made.generation, list(products), np.array(arrays["vectors"][sites]), available)


def write(
    state: Path,
    made: Made,
    place: Place,
    catalogue: Catalogue,
    graph: NeighbourGraph,
    now: float,
    waiting: Sequence[Product] = (),
) -> Path:
    """Write a snapshot durably, keep the two newest that are sound, and return its path.

    Raises:
        KinstreamError: it cannot be written; what was there before still is.
    """
    try:
        folder = snapshots_folder(state, made.generation.name)
        with unfinished(folder) as path:
            files = FilesWriter(path)
            snapshot_state.save(files, catalogue, graph, waiting)
            files.seal(_manifest(made, place, catalogue, graph, now, files.sums))
            return publish(folder, path, now, _is_sound)
    except OSError as error:
        raise _unwritable(state, error) from error


def newest(
    state: Path, generation: str, fits: Fits, tell: Callable[[Path, str], None] | None = None
) -> Snapshot | None:
    """The newest sound snapshot that fits; ``tell`` hears of each that is newer, and why it was skipped."""
    folder, seen = snapshots_folder(state, generation), set[Path]()
    while left := [path for path in snapshots_in(folder) if path not in seen]:
        seen.add(left[-1])
        try:
            return Snapshot(left[-1], fits)
        except (KinstreamError, OSError) as error:
            if left[-1].exists():  # else it was pruned while it was read, so there is a newer one
                (tell or _log)(left[-1], str(error))
    return None


def restore(snapshot: Snapshot, catalogue: Catalogue, graph: NeighbourGraph) -> None:
    """Fill a catalogue and its graph, both empty, with the state of a snapshot."""
    catalogue.restore(snapshot_state.products_of(snapshot.files))
    graph.restore(snapshot_state.arrays_of(snapshot.files), snapshot_state.index_of(snapshot.files))


def check_folder(state: Path) -> None:
    """Make the state folder, and see whether it can be written to.

    Raises:
        KinstreamError: it cannot.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=state):
            pass
    except OSError as error:
        raise _unwritable(state, error) from error


def _manifest(
    made: Made,
    place: Place,
    catalogue: Catalogue,
    graph: NeighbourGraph,
    now: float,
    sums: dict[str, FileSum],
) -> Manifest:
    return Manifest(
        format=FORMAT,
        created_at=now,
        made=made,
        index_parameters=graph.sites.parameters(),
        topic=place.topic,
        topic_id=place.topic_id,
        offsets=sorted((partition, offset) for (_, partition), offset in place.offsets.items()),
        products=len(catalogue),
        files=sums,
    )


def _is_sound(path: Path) -> bool:
    try:
        Snapshot(path, lambda manifest: None).close()
    except (KinstreamError, OSError):
        return False
    return True


def _unwritable(state: Path, error: OSError) -> KinstreamError:
    return KinstreamError(
        f"KINSTREAM_STATE={str(state)!r} cannot be written to ({error.strerror}): free space there, or name another folder"
    )


def _log(path: Path, reason: str) -> None:
    log.error("snapshot not used", path=str(path), reason=reason)
