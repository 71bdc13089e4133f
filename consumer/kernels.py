"""The hot loops of the neighbour graph, compiled by numba over flat arrays.

A row is a site: a place in space where at least one product lies. Time goes into cache misses, not arithmetic, so

* those who list a site stand side by side in *chunks* of one cache line each, not in a chain of single links;
* most candidates of a join are rejected by one byte a dimension, and exactly so (``farther``);
* what a loop will touch is asked for a few turns ahead (``prefetch``).

All distances are squared Euclidean. They are computed here, never taken from the index, so that d(a, b) and d(b, a) are
the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Flags = NDArray[np.bool_]

tools: Any = cgutils
NONE = np.int32(-1)
ONE = np.float32(1)
CHUNK = 15
"""Listers in a chunk; the sixteenth number is the next chunk."""
LINE = 64
"""Bytes of a cache line."""
ENOUGH = 800
"""Candidates after which a join takes no further hits, beyond those that it always takes."""
AHEAD = 6
"""Candidates between asking for codes and using them."""
SAFETY = np.float32(0.9999)
"""Covers the rounding of both sums when an estimate is compared with a radius; ``encode`` and ``estimate`` round alike."""


class Rows(NamedTuple):
    """The state of the graph; a row is a site. ``cap`` rows, lists of at most ``width`` entries.

    Invariant: every visible site closer to y than ``radius[y]`` is in ``near[y, :filled[y]]``. The radius is not the
    distance of the last entry: after a removal the two differ, and only a new search may let the radius grow.
    """

    vectors: F32  # [cap, dim]
    codes: I8  # [cap, dim] the vector in steps of scale
    scale: F32  # [cap]
    error: F32  # [cap] distance (not squared) of the vector from scale * codes
    near: I32  # [cap, width] sites, in no order
    dist: F32  # [cap, width] squared distance of each entry
    filled: I32  # [cap] entries in use
    radius: F32  # [cap] squared; -1 while the list is being made anew
    head: I32  # [cap] first chunk of those who list the site
    degree: I32  # [cap] how many list it
    tested: I32  # [cap] number of the join that tested the row last
    outlying: (
        Flags  # [cap] visible, and hardly listed when it came: the beginning of a group that a search may never reach
    )
    hashes: I64  # [cap] of the vector's bits
    chunks: I32  # [cap + cap * (width - 1) // CHUNK, CHUNK + 1]: only the first chunk of a site is not full
    pool: I32  # [2] first free chunk of those used before, first chunk never used
    table: I32  # [a power of two, at least 2 cap] site by hash of its vector, linear probing


class Journal(NamedTuple):
    """What a batch touched: ``changed[:size[0]]`` lost or won a published entry, ``short[:size[1]]`` need a search."""

    stamp: I32  # [cap] batch in which the row was last put on ``changed``
    changed: I32  # [cap]
    short_stamp: I32  # [cap]
    short: I32  # [cap]
    candidates: I32  # [cap] scratch of a join
    size: I32  # [4]: changed, short, number of the batch, number of the last join


def kernel(function: F) -> F:
    """Compile once, keep on disk."""
    return cast("F", numba.njit(cache=True, nogil=True)(function))


def sum_kernel(function: F) -> F:
    """A kernel whose sums may be reordered into vector registers; infinities stay exact, as the radius needs them."""
    return cast("F", numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})(function))


def _generate_prefetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    kind = signature.args[0]
    values = context.make_array(kind)(context, builder, arguments[0])
    pairs = zip(arguments[1:], signature.args[1:], strict=True)
    place = [context.cast(builder, argument, given, types.intp) for argument, given in pairs]
    shape, strides = (tools.unpack_tuple(builder, part) for part in (values.shape, values.strides))
    item = tools.get_item_pointer2(context, builder, values.data, shape, strides, kind.layout, place)
    address = builder.bitcast(item, ir.IntType(8).as_pointer())
    flag = ir.IntType(32)
    function = ir.FunctionType(ir.VoidType(), [address.type, flag, flag, flag])
    callee = builder.module.declare_intrinsic("llvm.prefetch", [address.type], function)
    builder.call(callee, [address, flag(0), flag(3), flag(1)])  # to read, keep close, data
    return context.get_dummy_value()


def _prefetch(typing: Any, array: Any, row: Any, column: Any) -> Any:
    """Ask for the cache line of array[row, column] without waiting for it: LLVM's prefetch, which never faults."""
    return types.void(array, row, column), _generate_prefetch


def _prefetch_one(typing: Any, array: Any, row: Any) -> Any:
    """The same for array[row]."""
    return types.void(array, row), _generate_prefetch


prefetch: Any = intrinsic(_prefetch)
prefetch_one: Any = intrinsic(_prefetch_one)


@sum_kernel
def distance(vectors: F32, a: int, b: int) -> np.float32:
    """Squared Euclidean distance of two rows."""
    total = np.float32(0)
    for j in range(vectors.shape[1]):
        difference = vectors[a, j] - vectors[b, j]
        total += difference * difference
    return total


@sum_kernel
def encode(rows: Rows, slots: I32) -> None:
    """Make the codes of rows [n]: the vector in steps of its largest component / 127, and how far off that is."""
    dim = rows.vectors.shape[1]
    for x in slots:
        largest = np.float32(0)
        for j in range(dim):
            largest = max(largest, abs(rows.vectors[x, j]))
        scale = largest / np.float32(127) if largest > 0 else ONE
        off = np.float32(0)
        for j in range(dim):
            code = np.int8(np.rint(rows.vectors[x, j] / scale))
            rows.codes[x, j] = code
            difference = rows.vectors[x, j] - scale * np.float32(code)
            off += difference * difference
        rows.scale[x] = scale
        rows.error[x] = np.sqrt(off)


@sum_kernel
def estimate(rows: Rows, x: int, y: int) -> np.float32:
    """Squared distance of the vector of x from the codes of y."""
    total = np.float32(0)
    scale = rows.scale[y]
    for j in range(rows.vectors.shape[1]):
        difference = rows.vectors[x, j] - scale * np.float32(rows.codes[y, j])
        total += difference * difference
    return total


@kernel
def farther(rows: Rows, x: int, y: int) -> bool:
    """Whether x and y are certainly not within each other's radius: by the triangle inequality over the codes of y."""
    reach = np.sqrt(max(rows.radius[x], rows.radius[y], np.float32(0))) + rows.error[y]
    return bool(estimate(rows, x, y) * SAFETY > reach * reach)


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
def take_chunk(rows: Rows) -> np.int32:
    """A chunk that is not in use."""
    chunk = rows.pool[0]
    if chunk >= 0:
        rows.pool[0] = rows.chunks[chunk, CHUNK]
    else:
        chunk = rows.pool[1]
        rows.pool[1] += 1
    return np.int32(chunk)


@kernel
def drop_chunk(rows: Rows, chunk: int) -> None:
    """Give a chunk back."""
    rows.chunks[chunk, CHUNK] = rows.pool[0]
    rows.pool[0] = chunk


@kernel
def in_first(degree: int) -> int:
    """How many listers stand in the first chunk of a site with that degree."""
    return (degree - 1) % CHUNK + 1


@kernel
def link(rows: Rows, z: int, y: int) -> None:
    """Note that y lists z."""
    place = rows.degree[z] % CHUNK
    if place == 0:
        chunk = take_chunk(rows)
        rows.chunks[chunk, CHUNK] = rows.head[z]
        rows.head[z] = chunk
    rows.chunks[rows.head[z], place] = y
    rows.degree[z] += 1


@kernel
def link_all(rows: Rows, sites: I32) -> None:
    """Link every entry of the lists of sites [n], where nothing is linked yet."""
    for y in sites:
        for s in range(rows.filled[y]):
            link(rows, rows.near[y, s], y)


@kernel
def place_of(rows: Rows, z: int, y: int) -> tuple[int, int]:
    """Chunk and position at which y stands among those who list z."""
    chunk, used = rows.head[z], in_first(rows.degree[z])
    while True:
        for i in range(used):
            if rows.chunks[chunk, i] == y:
                return chunk, i
        chunk, used = rows.chunks[chunk, CHUNK], CHUNK


@kernel
def unlink(rows: Rows, z: int, y: int) -> None:
    """Note that y no longer lists z: the last lister takes its place."""
    chunk, i = place_of(rows, z, y)
    first, last = rows.head[z], in_first(rows.degree[z]) - 1
    rows.chunks[chunk, i] = rows.chunks[first, last]
    rows.degree[z] -= 1
    if last == 0:
        rows.head[z] = rows.chunks[first, CHUNK]
        drop_chunk(rows, first)


@kernel
def closer(rows: Rows, y: int, d: np.float32) -> int:
    """How many entries of y are closer than d: the rank that an entry at distance d has."""
    rank = 0
    for s in range(rows.filled[y]):
        if rows.dist[y, s] < d:
            rank += 1
    return rank


@kernel
def entry_of(rows: Rows, y: int, x: int) -> int:
    """Where the list of y names x, or -1."""
    for s in range(rows.filled[y]):
        if rows.near[y, s] == x:
            return s
    return -1


@kernel
def clear_list(rows: Rows, y: int) -> None:
    """Empty the list of y; nothing is known about its surroundings until it is searched anew."""
    for s in range(rows.filled[y]):
        prefetch(rows.chunks, rows.head[rows.near[y, s]], 0)
    for s in range(rows.filled[y]):
        unlink(rows, rows.near[y, s], y)
    rows.filled[y] = 0
    rows.radius[y] = -ONE


@kernel
def clear_lists(rows: Rows, slots: I32) -> None:
    """Empty the lists of rows [n]."""
    for y in slots:
        clear_list(rows, y)


@kernel
def leave_list(rows: Rows, journal: Journal, y: int, z: int, k: int) -> None:
    """Take z out of the list of y, whose last entry moves into the gap; with fewer than k left the list is short.

    A list whose radius is infinite holds every visible site already: a search would find no more.
    """
    s = entry_of(rows, y, z)
    if closer(rows, y, rows.dist[y, s]) < k:
        note_changed(journal, y)
    last = rows.filled[y] - 1
    rows.near[y, s] = rows.near[y, last]
    rows.dist[y, s] = rows.dist[y, last]
    rows.filled[y] = last
    if last < k and rows.radius[y] < np.inf:
        note_short(journal, y)


@kernel
def leave_lists(rows: Rows, journal: Journal, gone: I32, k: int) -> None:
    """Take each site of ``gone`` out of every list that names it."""
    step = LINE // 4
    for z in gone:
        chunk, used = rows.head[z], in_first(rows.degree[z])
        while chunk >= 0:
            for i in range(used):
                for j in range(0, rows.near.shape[1], step):
                    prefetch(rows.near, rows.chunks[chunk, i], j)
                    prefetch(rows.dist, rows.chunks[chunk, i], j)
            for i in range(used):
                leave_list(rows, journal, rows.chunks[chunk, i], z, k)
            following = rows.chunks[chunk, CHUNK]
            drop_chunk(rows, chunk)
            chunk, used = following, CHUNK
        rows.head[z] = NONE
        rows.degree[z] = 0


@kernel
def set_list(rows: Rows, x: int, hits: I32, others: int) -> None:
    """Fill the empty list of x with the nearest of the hits [m], padded with -1; itself is no hit.

    ``others`` are visible besides x: only a list of all of them has an infinite radius. An approximate search may return
    fewer than it was asked for; what lies beyond the last hit is not known then.
    """
    width = rows.near.shape[1]
    found = 0
    for z in hits:
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
    if found < width and found >= others:
        rows.radius[x] = np.inf
    else:
        rows.radius[x] = rows.dist[x, rows.filled[x] - 1] if found > 0 else np.float32(0)
    for s in range(rows.filled[x]):
        link(rows, rows.near[x, s], x)


@kernel
def set_lists(rows: Rows, journal: Journal, targets: I32, hits: I32, visible: Flags) -> None:
    """Make the list of each target [n] anew from the hits of a search [n, m] among the ``visible`` rows [cap]."""
    everybody = visible.sum()
    for i in range(len(targets)):
        for z in hits[i]:
            if z >= 0:
                prefetch(rows.chunks, rows.head[z], 0)
        clear_list(rows, targets[i])
        note_changed(journal, targets[i])
        set_list(rows, targets[i], hits[i], everybody - visible[targets[i]])


@kernel
def farthest(rows: Rows, y: int) -> int:
    """The entry of y with the greatest distance."""
    worst = 0
    for s in range(1, rows.filled[y]):
        if rows.dist[y, s] > rows.dist[y, worst]:
            worst = s
    return worst


@kernel
def offer(rows: Rows, journal: Journal, y: int, x: int, d: np.float32, k: int) -> None:
    """Let x, at distance d, into the list of y if it is within the radius of y; a full list gives up the farthest.

    The radius shrinks to the distance of what was given up, which may be x.
    """
    if d >= rows.radius[y] or entry_of(rows, y, x) >= 0:
        return
    width = rows.near.shape[1]
    s = rows.filled[y]
    if s == width:
        s = farthest(rows, y)
        if d >= rows.dist[y, s]:
            rows.radius[y] = d
            return
        rows.radius[y] = rows.dist[y, s]
        unlink(rows, rows.near[y, s], y)
    else:
        rows.filled[y] += 1
    rows.near[y, s] = x
    rows.dist[y, s] = d
    link(rows, x, y)
    if closer(rows, y, d) < k:
        note_changed(journal, y)


@kernel
def collect(rows: Rows, journal: Journal, x: int, hits: I32, least: int, unbounded: I32) -> int:
    """Note as candidates, each once: hits of x [m], all who list one of these, and the unbounded. Returns how many.

    The nearest ``least`` hits are always taken; where few list each other, further ones until there are candidates enough.
    """
    journal.size[3] += 1
    join, found = journal.size[3], 0
    rows.tested[x] = join
    for z in hits:
        if z >= 0:
            prefetch(rows.chunks, rows.head[z], 0)
    for i in range(len(hits)):
        z = hits[i]
        if z < 0 or (i >= least and found >= ENOUGH):
            break
        if rows.tested[z] != join:
            rows.tested[z] = join
            journal.candidates[found] = z
            found += 1
        chunk, used = rows.head[z], in_first(rows.degree[z])
        while chunk >= 0:
            for j in range(used):
                y = rows.chunks[chunk, j]
                if rows.tested[y] != join:
                    rows.tested[y] = join
                    journal.candidates[found] = y
                    found += 1
            chunk, used = rows.chunks[chunk, CHUNK], CHUNK
    for y in unbounded:
        if rows.tested[y] != join:
            rows.tested[y] = join
            journal.candidates[found] = y
            found += 1
    return found


@kernel
def join(
    rows: Rows, journal: Journal, fresh: I32, hits: I32, least: int, unbounded: I32, visible: Flags, k: int
) -> int:
    """The reverse join: offer each fresh site [n] to its hits [n, m], to all who list a hit, and to the unbounded.

    They are offered to the fresh site too, if they are ``visible`` [cap]: a search that missed a near one is made good by
    those who list what it found. Returns the number of distances computed or estimated.
    """
    distances = 0
    for i in range(len(fresh)):
        x = fresh[i]
        found = collect(rows, journal, x, hits[i], least, unbounded)
        distances += found
        for a in range(found):
            if a + AHEAD < found:
                ahead = journal.candidates[a + AHEAD]
                for j in range(0, rows.codes.shape[1], LINE):
                    prefetch(rows.codes, ahead, j)
                prefetch_one(rows.scale, ahead)
                prefetch_one(rows.error, ahead)
                prefetch_one(rows.radius, ahead)
            y = journal.candidates[a]
            if not farther(rows, x, y):
                d = distance(rows.vectors, x, y)
                offer(rows, journal, y, x, d, k)
                if visible[y]:
                    offer(rows, journal, x, y, d, k)
    return distances


@kernel
def nearest(rows: Rows, sites: I32, others: I32, hits: I32) -> None:
    """By their codes, those of the others [m] that are nearest to each site [n], into hits [n, w], padded with -1."""
    width = hits.shape[1]
    best = np.empty(width, np.float32)
    for i in range(len(sites)):
        found = 0
        for y in others:
            d = estimate(rows, sites[i], y)
            if y == sites[i] or (found == width and d >= best[width - 1]):
                continue
            found = min(found + 1, width)
            s = found - 1
            while s > 0 and best[s - 1] > d:
                best[s] = best[s - 1]
                hits[i, s] = hits[i, s - 1]
                s -= 1
            best[s] = d
            hits[i, s] = y


@kernel
def later(rows: Rows, d: np.float32, z: int, other_d: np.float32, other: int) -> bool:
    """Whether the other entry comes after z at distance d; equal distances are in the order of the vectors' hashes."""
    return bool(other_d > d or (other_d == d and rows.hashes[other] > rows.hashes[z]))


@kernel
def measure(rows: Rows, sites: I32, visible: Flags, squared: F32) -> None:
    """Squared distances of sites [m] from all rows into squared [m, n]; infinity for those that are not visible."""
    for y in range(squared.shape[1]):
        for i in range(len(sites)):
            squared[i, y] = distance(rows.vectors, sites[i], y) if visible[y] else np.float32(np.inf)


@kernel
def best(rows: Rows, slots: I32, near: I32, dist: F32) -> None:
    """The nearest entries of each row [n], nearest first, into near and dist [n, k], padded with -1 and infinity."""
    k = near.shape[1]
    for i in range(len(slots)):
        y = slots[i]
        for s in range(rows.filled[y]):
            d, z = rows.dist[y, s], rows.near[y, s]
            at = min(s, k)
            while at > 0 and later(rows, d, z, dist[i, at - 1], near[i, at - 1]):
                if at < k:
                    near[i, at] = near[i, at - 1]
                    dist[i, at] = dist[i, at - 1]
                at -= 1
            if at < k:
                near[i, at] = z
                dist[i, at] = d
        for at in range(min(rows.filled[y], k), k):
            near[i, at] = NONE
            dist[i, at] = np.float32(np.inf)


@kernel
def note_listers(rows: Rows, journal: Journal, slots: I32, k: int) -> None:
    """Note as changed everybody who has one of the rows [n] among its nearest k."""
    for z in slots:
        chunk, used = rows.head[z], in_first(rows.degree[z])
        while chunk >= 0:
            for i in range(used):
                y = rows.chunks[chunk, i]
                if closer(rows, y, rows.dist[y, entry_of(rows, y, z)]) < k:
                    note_changed(journal, y)
            chunk, used = rows.chunks[chunk, CHUNK], CHUNK


@kernel
def move_row(rows: Rows, old: int, new: int) -> None:
    """Let row ``new``, which is not in use, take over from row ``old``; the table is the caller's matter."""
    rows.vectors[new], rows.codes[new] = rows.vectors[old], rows.codes[old]
    rows.scale[new], rows.error[new], rows.hashes[new] = rows.scale[old], rows.error[old], rows.hashes[old]
    rows.near[new], rows.dist[new] = rows.near[old], rows.dist[old]
    rows.filled[new], rows.radius[new] = rows.filled[old], rows.radius[old]
    rows.head[new], rows.degree[new] = rows.head[old], rows.degree[old]
    rows.outlying[new], rows.outlying[old] = rows.outlying[old], False
    chunk, used = rows.head[new], in_first(rows.degree[new])
    while chunk >= 0:
        for i in range(used):
            y = rows.chunks[chunk, i]
            rows.near[y, entry_of(rows, y, old)] = new
        chunk, used = rows.chunks[chunk, CHUNK], CHUNK
    for s in range(rows.filled[new]):
        chunk, i = place_of(rows, rows.near[new, s], old)
        rows.chunks[chunk, i] = new
    rows.filled[old], rows.degree[old], rows.head[old] = 0, 0, NONE


@kernel
def pack_chunks(rows: Rows, packed: I32) -> None:
    """Copy all chunks in use, side by side, to another array, which takes the place of ``rows.chunks`` then."""
    used = 0
    for z in range(len(rows.head)):
        chunk = rows.head[z]
        if chunk >= 0:
            rows.head[z] = used
        while chunk >= 0:
            packed[used] = rows.chunks[chunk]
            chunk = rows.chunks[chunk, CHUNK]
            packed[used, CHUNK] = used + 1 if chunk >= 0 else NONE
            used += 1
    rows.pool[0], rows.pool[1] = NONE, used
