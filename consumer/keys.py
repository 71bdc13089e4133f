"""The names of the keys in Redis, in one place: the writer, the readers and the scans take them from here."""

from __future__ import annotations

import re
from functools import cache
from itertools import count
from typing import Literal, NamedTuple

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

LIVE = "kin:live"
SLOTS: int = REDIS_CLUSTER_HASH_SLOTS
META_PATTERN = "kin:*:meta"

ProductKind = Literal["n", "p"]
"""``n`` is a product's list, ``p`` its card."""


class ProductKey(NamedTuple):
    """What the key of a list or a card says."""

    generation: str
    kind: ProductKind
    id: str


def live_key() -> str:
    """The string that names the generation which readers use."""
    return LIVE


def meta_key(generation: str) -> str:
    """The hash that says what a generation was built with, and its state."""
    return f"kin:{generation}:meta"


def fence_key(generation: str) -> str:
    """The string with the term that may write, on a server of its own."""
    return f"kin:{generation}:fence"


def slot_fence_key(generation: str, slot: int) -> str:
    """The same for one hash slot of a cluster; it lies in that slot."""
    return f"kin:{generation}:f:{{{_tags()[slot]}}}"


def slot_of(key: str) -> int:
    """The hash slot of a key on a cluster."""
    return int(key_slot(key.encode()))


@cache
def _tags() -> list[str]:
    """For each hash slot a short text that lies in it."""
    found: dict[int, str] = {}
    for number in count():
        found.setdefault(slot_of(f"{number:x}"), f"{number:x}")
        if len(found) == SLOTS:
            break
    return [found[slot] for slot in range(SLOTS)]


def list_key(generation: str, id: str) -> str:
    """The sorted set of a product's neighbours; the braces put it on the cluster slot of the card."""
    return f"kin:{generation}:n:{{{id}}}"


def card_key(generation: str, id: str) -> str:
    """The hash of a product's facts."""
    return f"kin:{generation}:p:{{{id}}}"


def product_pattern(generation: str) -> str:
    """A SCAN pattern for every list and card of a generation."""
    return f"kin:{generation}:[np]:{{*}}"


def parse_key(key: str | bytes) -> ProductKey | None:
    """The inverse of list_key and card_key; None for any other key."""
    text = key.decode(errors="replace") if isinstance(key, bytes) else key
    match = _PRODUCT.fullmatch(text)
    if match is None:
        return None
    generation, kind, id = match.groups()
    return ProductKey(generation, "n" if kind == "n" else "p", id)


def parse_meta_key(key: str | bytes) -> str | None:
    """The inverse of meta_key; None for any other key."""
    text = key.decode(errors="replace") if isinstance(key, bytes) else key
    match = _META.fullmatch(text)
    return None if match is None else match.group(1)


_PRODUCT = re.compile(r"kin:([^:]+):([np]):\{(.+)\}", re.DOTALL)
_META = re.compile(r"kin:([^:]+):meta")
