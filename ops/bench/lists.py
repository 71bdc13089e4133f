"""Lists with reverse links for the contenders that find in other ways than the engine which lists must change.

Written apart from the engine on purpose: it is measured against these, and must not share its mistakes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
I32 = NDArray[np.int32]
F32 = NDArray[np.float32]


class Lists(NamedTuple):
    """``cap`` rows of at most ``K`` entries. Link ``y * K + s`` is entry s of y, chained with all that name the same z."""

    near: I32  # [cap, K] slots, in no order
    dist: F32  # [cap, K] cosine distances
    filled: I32  # [cap]
    radius: F32  # [cap] all that is nearer is on the list; -1 where no product is
    head: I32  # [cap] first link of those who list a product
    after: I32  # [cap * K]
    before: I32  # [cap * K]
    stamp: NDArray[np.int64]  # [cap] last batch that rewrote the first k entries


def new_lists(capacity: int, width: int) -> Lists:
    """Empty lists."""
    return Lists(
        near=np.full((capacity, width), -1, np.int32),
        dist=np.zeros((capacity, width), np.float32),
        filled=np.zeros(capacity, np.int32),
        radius=np.full(capacity, -1, np.float32),
        head=np.full(capacity, -1, np.int32),
        after=np.full(capacity * width, -1, np.int32),
        before=np.full(capacity * width, -1, np.int32),
        stamp=np.zeros(capacity, np.int64),
    )


def grown(lists: Lists, capacity: int) -> Lists:
    """The same lists with room for more."""
    larger = new_lists(capacity, lists.near.shape[1])
    for small, large in zip(lists, larger, strict=True):
        large[: len(small)] = small
    return larger


def kernel(function: F) -> F:
    """Compile once, keep on disk; sums may be reordered, infinities stay."""
    return cast("F", numba.njit(cache=True, fastmath={"reassoc", "contract"})(function))


@kernel
def distance(a: F32, b: F32) -> np.float32:
    """Cosine distance of unit vectors."""
    total = np.float32(0)
    for j in range(len(a)):
        total += a[j] * b[j]
    return np.float32(1) - total


@kernel
def tie(lists: Lists, link: int, z: int) -> None:
    """Put a link into the chain of z."""
    first = lists.head[z]
    lists.after[link], lists.before[link] = first, -1
    if first >= 0:
        lists.before[first] = link
    lists.head[z] = link


@kernel
def untie(lists: Lists, link: int, z: int) -> None:
    """Take a link out of the chain of z."""
    previous, following = lists.before[link], lists.after[link]
    if previous >= 0:
        lists.after[previous] = following
    else:
        lists.head[z] = following
    if following >= 0:
        lists.before[following] = previous


@kernel
def rewrote(lists: Lists, y: int, d: np.float32, k: int, batch: int) -> int:
    """1 when a change at distance d is within the first k of y, and the first of its batch there."""
    rank = 0
    for s in range(lists.filled[y]):
        if lists.dist[y, s] < d:
            rank += 1
    if rank >= k or lists.stamp[y] == batch:
        return 0
    lists.stamp[y] = batch
    return 1


@kernel
def clear(lists: Lists, slots: I32) -> None:
    """Empty the lists of slots [n]."""
    width = lists.near.shape[1]
    for y in slots:
        for s in range(lists.filled[y]):
            untie(lists, y * width + s, lists.near[y, s])
        lists.filled[y] = 0
        lists.radius[y] = -1


@kernel
def leave(lists: Lists, gone: I32, k: int, batch: int, short: NDArray[np.bool_]) -> int:
    """Take each of gone [n] out of all lists and mark in short [cap] what needs a search; returns lists rewritten."""
    width = lists.near.shape[1]
    count = 0
    for z in gone:
        while lists.head[z] >= 0:
            link = lists.head[z]
            y, s = link // width, link % width
            count += rewrote(lists, y, lists.dist[y, s], k, batch)
            untie(lists, link, z)
            last = lists.filled[y] - 1
            if s != last:
                untie(lists, y * width + last, lists.near[y, last])
                lists.near[y, s], lists.dist[y, s] = lists.near[y, last], lists.dist[y, last]
                tie(lists, link, lists.near[y, s])
            lists.filled[y] = last
            short[y] = last < k and lists.radius[y] < np.inf
    return count


@kernel
def fill(lists: Lists, targets: I32, hits: I32, own: F32, vectors: F32, row_of: I32, batch: int) -> None:
    """Make the list of each target [n] with the vector own [n, dim] from hits [n, m], nearest first, padded with -1.

    The vector of a slot is ``vectors[row_of[slot]]``.
    """
    width = lists.near.shape[1]
    for i in range(len(targets)):
        x, found = targets[i], 0
        for z in hits[i]:
            if z >= 0 and z != x and found < width:
                lists.near[x, found], lists.dist[x, found] = z, distance(own[i], vectors[row_of[z]])
                tie(lists, x * width + found, z)
                found += 1
        lists.filled[x] = found
        lists.stamp[x] = batch
        lists.radius[x] = lists.dist[x, :width].max() if found == width else np.float32(np.inf)


@kernel
def take(lists: Lists, y: int, x: int, d: np.float32, k: int, batch: int) -> int:
    """Let x, within the radius of y, into its list; returns 1 when that rewrote the list."""
    width = lists.near.shape[1]
    for s in range(lists.filled[y]):
        if lists.near[y, s] == x:
            return 0
    s = lists.filled[y]
    if s == width:
        s = int(lists.dist[y].argmax())
        lists.radius[y] = lists.dist[y, s]
        if lists.dist[y, s] <= d:
            return 0
        untie(lists, y * width + s, lists.near[y, s])
    else:
        lists.filled[y] += 1
    lists.near[y, s], lists.dist[y, s] = x, d
    tie(lists, y * width + s, x)
    return rewrote(lists, y, d, k, batch)


@kernel
def offer_to_hits(lists: Lists, fresh: I32, hits: I32, vectors: F32, k: int, batch: int) -> int:
    """Offer each fresh product [n] to its hits [n, m]; returns the lists rewritten."""
    count = 0
    for i in range(len(fresh)):
        x = fresh[i]
        for z in hits[i]:
            if z >= 0 and z != x:
                d = distance(vectors[x], vectors[z])
                if d < lists.radius[z]:
                    count += take(lists, z, x, d, k, batch)
    return count


@kernel
def offer_to_all(lists: Lists, fresh: I32, similarities: F32, slot_at: I32, k: int, batch: int) -> int:
    """Offer each fresh product [n] to everybody, by its similarities [n, m] to the products slot_at [m]."""
    count = 0
    for i in range(len(fresh)):
        x = fresh[i]
        for j in range(similarities.shape[1]):
            d = np.float32(1) - similarities[i, j]
            if d < lists.radius[slot_at[j]] and slot_at[j] != x:
                count += take(lists, slot_at[j], x, d, k, batch)
    return count


@kernel
def nearest(similarities: F32, slot_at: I32, hits: I32) -> None:
    """The slots with the greatest similarities [n, m] into hits [n, k], nearest first, padded with -1."""
    k = hits.shape[1]
    held = np.empty(k, np.float32)
    for i in range(len(hits)):
        held[:], hits[i] = -np.inf, -1
        for j in range(similarities.shape[1]):
            if similarities[i, j] > held[k - 1]:
                at = k - 1
                while at > 0 and held[at - 1] < similarities[i, j]:
                    held[at], hits[i, at] = held[at - 1], hits[i, at - 1]
                    at -= 1
                held[at], hits[i, at] = similarities[i, j], slot_at[j]


def first(lists: Lists, slots: I32, k: int) -> I32:
    """The k nearest entries of slots [n], nearest first, padded with -1."""
    entries = np.arange(lists.near.shape[1]) < lists.filled[slots, None]
    order = np.argsort(np.where(entries, lists.dist[slots], np.inf), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(np.where(entries, lists.near[slots], -1), order, axis=1).astype(np.int32)
