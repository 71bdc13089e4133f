"""Hard negatives from the lists of the network in training, kept in the folder of the run so that it can go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from model.data.items import Items
from model.losses.live import lists_of
from model.losses.mining import hard_negatives
from model.network import ProductEncoder
from model.training.batches import Collator, Read
from model.training.encoding import NetworkEncoder

FILES = "negatives-*.json"
"""The step that they were mined after is in the name; a run may go on from before the newest."""
COUNT, NEIGHBOURS = 8, 20
"""Negatives of a product, and its neighbours among which they are looked for."""
MARGIN = 0.05
"""In cosine: what is nearer is likely the same product, and nobody said so."""

Negatives = Mapping[str, Sequence[str]]


class Mined(msgspec.Struct, frozen=True):
    """Negatives by key, for each source, as the network after ``step`` steps sees them."""

    step: int
    negatives: list[dict[str, list[str]]]


def mine(network: ProductEncoder, collator: Collator, parts: Sequence[Items], read: Read, step: int) -> Mined:
    """The nearest products of other groups, by source."""
    encoder = NetworkEncoder(network, collator)
    return Mined(step, [_of(encoder, part, read) for part in parts])


def save(folder: Path, mined: Mined) -> None:
    """Keep them."""
    file = folder / FILES.replace("*", f"{mined.step:08d}")
    scratch = file.with_suffix(".part")
    scratch.write_bytes(msgspec.json.encode(mined))
    scratch.replace(file)


def load(folder: Path, done: int) -> Mined | None:
    """Those that were mined last up to the step that a run goes on from."""
    for file in sorted(folder.glob(FILES), reverse=True):
        mined = msgspec.json.decode(file.read_bytes(), type=Mined)
        if mined.step <= done:
            return mined
    return None


def _of(encoder: NetworkEncoder, part: Items, read: Read) -> dict[str, list[str]]:
    images = [read(item) for item in part.items] if encoder.wants_images else None
    vectors = encoder.encode([item.product for item in part.items], images)
    keys = [item.key for item in part.items]
    found = hard_negatives(
        lists_of(keys, vectors, NEIGHBOURS), dict(zip(keys, part.groups, strict=True)), COUNT, MARGIN
    )
    return {key: list(negatives) for key, negatives in found.items() if negatives}
