"""What is in a snapshot: the least that catalogue and graph can be made from again, apart from how they lie in memory.

One .npy file for each array of the graph, the index's own file if it has one, and two MessagePack documents:
``catalogue.msgpack`` is ``[shapes, products]``, a product as the fields of ``Row``; ``waiting.msgpack`` is the products whose
image is still waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from consumer.catalogue import Catalogue, Known
from consumer.neighbours import NeighbourGraph
from consumer.snapshot_files import FilesWriter, OpenFiles, SummedFile
from consumer.types import Arrays
from producer.events import Product

CATALOGUE, WAITING, INDEX = "catalogue.msgpack", "waiting.msgpack", "index.bin"
ARRAY = ".npy"
BLOCK = 4096
"""Products encoded at a time."""

_pack = msgspec.msgpack.Encoder().encode
_Shape = tuple[str, ...]


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One product; ``shape`` is the number of its card's fields among the shapes, ``card`` as in ``Known``."""

    id: str
    slot: int
    content: bytes
    facts: int
    version: int | None
    available: bool
    shape: int
    card: bytes


def save(files: FilesWriter, catalogue: Catalogue, graph: NeighbourGraph, waiting: Sequence[Product]) -> None:
    """Write all files but the manifest.

    Raises:
        OSError: such as a full disk.
    """
    for name, array in graph.save(files.folder / INDEX).items():
        with files.open(name + ARRAY) as file:
            np.save(file, array, allow_pickle=False)
    files.adopt(INDEX)
    with files.open(CATALOGUE) as file:
        _write_catalogue(file, catalogue)
    with files.open(WAITING) as file:
        file.write(_pack(waiting))


def arrays_of(files: OpenFiles) -> Arrays:
    """The arrays of the graph, mapped from disk."""
    paths = {name.removesuffix(ARRAY): files.path(name) for name in files.names if name.endswith(ARRAY)}
    return {name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in paths.items()}


def products_of(files: OpenFiles) -> dict[str, Known]:
    """All products by id."""
    shapes, rows = msgspec.msgpack.decode(files.path(CATALOGUE).read_bytes(), type=tuple[list[_Shape], list[Row]])
    return {
        row.id: Known(row.slot, row.content, row.facts, row.version, row.available, shapes[row.shape], row.card)
        for row in rows
    }


def waiting_of(files: OpenFiles) -> list[Product]:
    """The products whose image was waited for."""
    return msgspec.msgpack.decode(files.path(WAITING).read_bytes(), type=list[Product])


def index_of(files: OpenFiles) -> Path:
    """The index's own file; one that has none does not ask for it."""
    return files.path(INDEX) if INDEX in files.names else Path(INDEX)


def _write_catalogue(file: SummedFile, catalogue: Catalogue) -> None:
    """Block by block: a writer that shares its memory with a running service must not double it."""
    shapes: dict[_Shape, int] = {}
    for _, known in catalogue.items():
        shapes.setdefault(known.fields, len(shapes))
    file.write(b"\x92" + _pack(list(shapes)) + b"\xdd" + len(catalogue).to_bytes(4, "big"))
    products = catalogue.items()
    while block := list(islice(products, BLOCK)):
        file.write(b"".join(_pack(_row(id, known, shapes)) for id, known in block))


def _row(id: str, known: Known, shapes: dict[_Shape, int]) -> Row:
    return Row(
        id, known.slot, known.content, known.facts, known.version, known.available, shapes[known.fields], known.card
    )
