"""The hot loops of the neighbour graph, compiled by numba over flat arrays.

A *link* is one entry of one list: entry ``s`` of product ``y`` is link ``y * K + s``. The links that name the same
product form a doubly linked chain that starts at ``head[product]``: walking it gives everybody who lists the product.
Every distance is computed here, never taken from the index, so that d(a, b) and d(b, a) are the same bits.
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
I64 = NDArray[np.int64]

NONE = np.int32(-1)
ONE = np.float32(1)


class Rows(NamedTuple):
    """The state of the graph; a row is a slot. ``cap`` rows, lists of at most ``K`` entries.

    Invariant: every visible product closer to y than ``radius[y]`` is in ``near[y, :filled[y]]``. The radius is not the
    distance of the last entry: after a removal the two differ, and only a new search may let the radius grow.
    """

    vectors: F32  # [cap, dim], L2-normalised
    near: I32  # [cap, K] slots, in no order
    dist: F32  # [cap, K] cosine distance of each entry
    filled: I32  # [cap] entries in use
    radius: F32  # [cap]
    head: I32  # [cap] first link of the chain of those who list the product
    after: I32  # [cap * K] next link of a chain
    before: I32  # [cap * K] previous link of a chain
    tested: I64  # [cap] number of the join that tested the row last


class Journal(NamedTuple):
    """What a batch touched: ``changed[:size[0]]`` lost or won a published entry, ``short[:size[1]]`` need a search."""

    stamp: I64  # [cap] batch in which the row was last put on ``changed``
    changed: I32  # [cap]
    short_stamp: I64  # [cap]
    short: I32  # [cap]
    size: I64  # [4]: changed, short, number of the batch, number of the last join


def kernel(function: F) -> F:
    """Compile once, keep on disk."""
    return cast("F", numba.njit(cache=True, nogil=True)(function))


def sum_kernel(function: F) -> F:
    """A kernel whose sums may be reordered into vector registers; infinities stay exact, as the radius needs them."""
    return cast("F", numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})(function))


@sum_kernel
def distance(vectors: F32, a: int, b: int) -> np.float32:
    """Cosine distance of two normalised rows, 0 to 2."""
    total = np.float32(0)
    for j in range(vectors.shape[1]):
        total += vectors[a, j] * vectors[b, j]
    return ONE - total


@kernel
def note_changed(journal: Journal, y: int) -> None:
    """Put y on the list of changed rows, once a batch."""
    if journal.stamp[y] != journal.size[2]:
        journal.stamp[y] = journal.size[2]
        journal.changed[journal.size[0]] = y
        journal.size[0] += 1


@kernel
def note_short(journal: Journal, y: int) -> None:
    """Put y on the list of rows to search anew, once a batch."""
    if journal.short_stamp[y] != journal.size[2]:
        journal.short_stamp[y] = journal.size[2]
        journal.short[journal.size[1]] = y
        journal.size[1] += 1


@kernel
def chain(rows: Rows, link: int, z: int) -> None:
    """Put a link at the head of the chain of z."""
    first = rows.head[z]
    rows.after[link] = first
    rows.before[link] = NONE
    if first >= 0:
        rows.before[first] = link
    rows.head[z] = link


@kernel
def unchain(rows: Rows, link: int, z: int) -> None:
    """Take a link out of the chain of z."""
    previous, following = rows.before[link], rows.after[link]
    if previous >= 0:
        rows.after[previous] = following
    else:
        rows.head[z] = following
    if following >= 0:
        rows.before[following] = previous


@kernel
def closer(rows: Rows, y: int, d: np.float32) -> int:
    """How many entries of y are closer than d: the rank that an entry at distance d has."""
    rank = 0
    for s in range(rows.filled[y]):
        if rows.dist[y, s] < d:
            rank += 1
    return rank


@kernel
def clear_list(rows: Rows, y: int) -> None:
    """Empty the list of y; nothing is known about its surroundings until it is searched anew."""
    width = rows.near.shape[1]
    for s in range(rows.filled[y]):
        unchain(rows, y * width + s, rows.near[y, s])
    rows.filled[y] = 0
    rows.radius[y] = -ONE


@kernel
def clear_lists(rows: Rows, slots: I32) -> None:
    """Empty the lists of slots [n]."""
    for y in slots:
        clear_list(rows, y)


@kernel
def take_entry(rows: Rows, y: int, s: int) -> None:
    """Remove entry s of y; the last entry moves into the gap."""
    width = rows.near.shape[1]
    unchain(rows, y * width + s, rows.near[y, s])
    last = rows.filled[y] - 1
    if s != last:
        moved = rows.near[y, last]
        unchain(rows, y * width + last, moved)
        rows.near[y, s] = moved
        rows.dist[y, s] = rows.dist[y, last]
        chain(rows, y * width + s, moved)
    rows.filled[y] = last


@kernel
def leave_lists(rows: Rows, journal: Journal, gone: I32, k: int) -> None:
    """Take each product of ``gone`` out of every list that names it; lists left with fewer than k become short.

    A list whose radius is infinite holds every visible product already: a search would find no more.
    """
    width = rows.near.shape[1]
    for z in gone:
        link = rows.head[z]
        while link >= 0:
            following = rows.after[link]
            y, s = link // width, link % width
            if closer(rows, y, rows.dist[y, s]) < k:
                note_changed(journal, y)
            take_entry(rows, y, s)
            if rows.filled[y] < k and rows.radius[y] < np.inf:
                note_short(journal, y)
            link = following


@kernel
def set_lists(rows: Rows, journal: Journal, targets: I32, hits: I32) -> None:
    """Fill the list of each target [n] from the hits of a search [n, m], padded with -1; itself is no hit."""
    width = rows.near.shape[1]
    for i in range(len(targets)):
        x = targets[i]
        clear_list(rows, x)
        note_changed(journal, x)
        found = 0
        for z in hits[i]:
            if z < 0 or z == x:
                continue
            found += 1
            d = distance(rows.vectors, x, z)
            s = min(found - 1, width)
            while s > 0 and rows.dist[x, s - 1] > d:
                if s < width:
                    rows.near[x, s] = rows.near[x, s - 1]
                    rows.dist[x, s] = rows.dist[x, s - 1]
                s -= 1
            if s < width:
                rows.near[x, s] = z
                rows.dist[x, s] = d
        rows.filled[x] = min(found, width)
        rows.radius[x] = rows.dist[x, width - 1] if found >= width else np.float32(np.inf)
        for s in range(rows.filled[x]):
            chain(rows, x * width + s, rows.near[x, s])


@kernel
def lists(rows: Rows, y: int, x: int) -> bool:
    """Whether the list of y names x."""
    for s in range(rows.filled[y]):
        if rows.near[y, s] == x:
            return True
    return False


@kernel
def farthest(rows: Rows, y: int) -> int:
    """The entry of y with the greatest distance."""
    worst = 0
    for s in range(1, rows.filled[y]):
        if rows.dist[y, s] > rows.dist[y, worst]:
            worst = s
    return worst


@kernel
def offer(rows: Rows, journal: Journal, y: int, x: int, k: int) -> int:
    """Let x into the list of y if it is within the radius of y; a full list gives up the farthest, which may be x.

    The radius shrinks to the distance of what was given up. Returns the number of distances computed (0 or 1).
    """
    if y == x or rows.tested[y] == journal.size[3]:
        return 0
    rows.tested[y] = journal.size[3]
    d = distance(rows.vectors, x, y)
    if d >= rows.radius[y] or lists(rows, y, x):
        return 1
    width = rows.near.shape[1]
    s = rows.filled[y]
    if s == width:
        s = farthest(rows, y)
        if d >= rows.dist[y, s]:
            rows.radius[y] = d
            return 1
        rows.radius[y] = rows.dist[y, s]
        unchain(rows, y * width + s, rows.near[y, s])
    else:
        rows.filled[y] += 1
    rows.near[y, s] = x
    rows.dist[y, s] = d
    chain(rows, y * width + s, x)
    if closer(rows, y, d) < k:
        note_changed(journal, y)
    return 1


@kernel
def join(rows: Rows, journal: Journal, fresh: I32, hits: I32, unbounded: I32, k: int) -> int:
    """The reverse join: offer each fresh product [n] to its hits [n, m], to all who list a hit, and to the unbounded.

    Returns the number of distances computed.
    """
    width = rows.near.shape[1]
    distances = 0
    for i in range(len(fresh)):
        x = fresh[i]
        journal.size[3] += 1
        for z in hits[i]:
            if z < 0 or z == x:
                continue
            distances += offer(rows, journal, z, x, k)
            link = rows.head[z]
            while link >= 0:
                following = rows.after[link]
                distances += offer(rows, journal, link // width, x, k)
                link = following
        for y in unbounded:
            distances += offer(rows, journal, y, x, k)
    return distances


@kernel
def best(rows: Rows, slots: I32, near: I32, dist: F32) -> None:
    """The nearest entries of each slot [n], nearest first, into near and dist [n, k], padded with -1."""
    for i in range(len(slots)):
        y = slots[i]
        seen = 0
        for s in range(rows.filled[y]):
            d, z = rows.dist[y, s], rows.near[y, s]
            at = min(seen, near.shape[1])
            while at > 0 and (dist[i, at - 1] > d or (dist[i, at - 1] == d and near[i, at - 1] > z)):
                if at < near.shape[1]:
                    near[i, at] = near[i, at - 1]
                    dist[i, at] = dist[i, at - 1]
                at -= 1
            if at < near.shape[1]:
                near[i, at] = z
                dist[i, at] = d
            seen += 1
        for at in range(min(seen, near.shape[1]), near.shape[1]):
            near[i, at] = NONE
            dist[i, at] = np.float32(np.inf)
