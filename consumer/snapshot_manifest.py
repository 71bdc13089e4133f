"""What a snapshot says about itself."""

from __future__ import annotations

import msgspec

from consumer.errors import KinstreamError
from consumer.snapshot_files import FileSum
from consumer.types import FIXED, Generation, Offsets

FORMAT = 2
"""Of what is written. Format 1 has no array ``outlying``, and is read as if all its flags were false."""
OLDEST = 1
"""Formats from this one on can be read."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot was made with: a service with any other value does not use it.

    Attributes:
        generation: of it, only the name and what a generation is built with count.
        index: kind of the index.
        fact_attributes: sorted.
        digest: of the encoder.
    """

    generation: Generation
    slack: int
    index: str
    fact_attributes: list[str]
    digest: str

    def difference(self, wanted: Made) -> str | None:
        """Why a service that wants the other cannot use this; None when it can."""
        own, other = self._compared(), wanted._compared()
        unlike = [f"{name} {own[name]!r}, now it is {other[name]!r}" for name in own if own[name] != other[name]]
        return f"it was made with {unlike[0]}" if unlike else None

    def _compared(self) -> dict[str, object]:
        generation = {name: getattr(self.generation, name) for name in ("name", *FIXED)}
        own = {name: getattr(self, name) for name in ("slack", "index", "fact_attributes", "digest")}
        return generation | own


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far into which topic the state has read: the next offsets to read."""

    topic: str
    topic_id: str
    offsets: Offsets


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot says about itself; ``created_at`` in Unix seconds, ``offsets`` as (partition, next offset)."""

    format: int
    created_at: float
    made: Made
    index_parameters: dict[str, int]
    topic: str
    topic_id: str
    offsets: list[tuple[int, int]]
    products: int
    files: dict[str, FileSum]

    @property
    def place(self) -> Place:
        """How far it has read."""
        offsets = {(self.topic, partition): offset for partition, offset in self.offsets}
        return Place(topic=self.topic, topic_id=self.topic_id, offsets=offsets)


class _Head(msgspec.Struct):
    format: int


def decoded(raw: bytes) -> Manifest:
    """A manifest from its JSON.

    Raises:
        KinstreamError: it is of another format.
    """
    format = msgspec.json.decode(raw, type=_Head).format  # first, since that of a later version may have other fields
    if not OLDEST <= format <= FORMAT:
        raise KinstreamError(
            f"it has snapshot format {format}, this version reads {OLDEST} to {FORMAT}: start the version of kinstream "
            "that wrote it"
        )
    return msgspec.json.decode(raw, type=Manifest)
