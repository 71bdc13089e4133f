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
REACH = 40
"""A walk goes through so many of the nearest sites it has met, to all who list them."""
ENOUGH = 800
"""With fewer candidates it goes on through the others it remembers."""
BOTH_WAYS = 10
"""Of the nearest so many it also meets all that they list."""
FILLED, HEAD, DEGREE, STAMP, BEFORE = range(5)
"""Columns of ``lists``, and how many stand before the entries."""
SCALE, ERROR, RADIUS, TESTED = range(4)
"""Columns of ``facts``, and the last one of ``marks``."""
HEADER = 16
"""Bytes before the codes of a row: what a join reads of every candidate shares a cache line with the first codes."""
AHEAD = 6
"""Candidates between asking for codes and using them."""
SAFETY = np.float32(0.9999)
"""Covers the rounding of both sums when an estimate is compared with a radius; ``encode`` and ``estimate`` round alike."""


class Rows(NamedTuple):
    """The state of the graph; a row is a site. ``cap`` rows, lists of at most ``width`` entries.

    What is read together stands together: the header before the codes has what a walk reads of every candidate, a row of
    ``lists`` all that a change of a list reads and writes.

    * codes: a header (columns of ``facts`` and ``marks``), then the vector in steps of its scale.
    * facts[.., SCALE]: a step of the codes. [.., ERROR]: distance (not squared) of the vector from scale * codes.
    * facts[.., RADIUS]: squared; -1 while the list is being made anew.
    * marks[.., TESTED]: number of the walk that met the row last.
    * lists[.., FILLED]: entries in use. [.., HEAD]: first chunk of those who list the site. [.., DEGREE]: how many these
      are. [.., STAMP]: batch in which the published list changed last. Then the entries, in no order.
    * floats: behind each entry its squared distance.

    Invariant: every visible site closer to y than its radius is on the list of y. The radius is not the distance of the
    last entry: after a removal the two differ, and only a new search may let the radius grow.
    """

    vectors: F32  # [cap, dim]
    codes: I8  # [cap, HEADER + dim, up to a multiple of 4]
    facts: F32  # a view of codes
    marks: I32  # a view of codes
    lists: I32  # [cap, BEFORE + 2 width]
    floats: F32  # a view of lists
    hashes: I64  # [cap] of the vector's bits
    chunks: I32  # [cap + cap * (width - 1) // CHUNK, CHUNK + 1]: only the first chunk of a site is not full
    pool: I32  # [2] first free chunk of those used before, first chunk never used
    table: I32  # [a power of two, at least 2 cap] site by hash of its vector, linear probing

    @property
    def near(self) -> I32:
        """The entries [cap, width]."""
        return self.lists[:, BEFORE::2]

    @property
    def dist(self) -> F32:
        """Their squared distances [cap, width]."""
        return self.floats[:, BEFORE + 1 :: 2]

    @property
    def filled(self) -> I32:
        """How many entries are in use [cap]."""
        return self.lists[:, FILLED]

    @property
    def head(self) -> I32:
        """The first chunk of those who list a site [cap]."""
        return self.lists[:, HEAD]

    @property
    def degree(self) -> I32:
        """How many list a site [cap]."""
        return self.lists[:, DEGREE]

    @property
    def radius(self) -> F32:
        """Squared [cap]; see above."""
        return self.facts[:, RADIUS]


class Journal(NamedTuple):
    """What a batch touched: ``changed[:size[0]]`` lost or won a published entry, ``short[:size[1]]`` need a search."""

    changed: I32  # [cap]
    short_stamp: I32  # [cap]
    short: I32  # [cap]
    candidates: I32  # [cap] of the last walk
    estimates: F32  # [cap] of their squared distances
    size: I32  # [5]: changed, short, number of the batch, number of the last walk, visible rows


class Pool(NamedTuple):
    """The nearest sites that a walk has met so far, nearest first."""

    dist: F32  # [w] estimated, squared
    site: I32  # [w]
    left: Flags  # [w] whether those who list it are still to be met


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


prefetch: Any = intrinsic(_prefetch)


@kernel
def prefetch_row(array: NDArray[Any], row: int) -> None:
    """Ask for all of a row of four-byte numbers."""
    for j in range(0, array.shape[1], LINE // 4):
        prefetch(array, row, j)


@sum_kernel
def distance(a: F32, b: F32) -> np.float32:
    """Squared Euclidean distance of two vectors [dim]."""
    total = np.float32(0)
    for j in range(len(a)):
        difference = a[j] - b[j]
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
            rows.codes[x, HEADER + j] = code
            difference = rows.vectors[x, j] - scale * np.float32(code)
            off += difference * difference
        rows.facts[x, SCALE] = scale
        rows.facts[x, ERROR] = np.sqrt(off)


@sum_kernel
def estimate(rows: Rows, vector: F32, y: int) -> np.float32:
    """Squared distance of a vector [dim] from the codes of y."""
    total = np.float32(0)
    scale = rows.facts[y, SCALE]
    for j in range(len(vector)):
        difference = vector[j] - scale * np.float32(rows.codes[y, HEADER + j])
        total += difference * difference
    return total


@kernel
def beyond(rows: Rows, x: int, y: int, estimated: np.float32) -> bool:
    """Whether x and y are certainly not within each other's radius: by the triangle inequality over the codes of y."""
    reach = np.sqrt(max(rows.facts[x, RADIUS], rows.facts[y, RADIUS], np.float32(0))) + rows.facts[y, ERROR]
    return bool(estimated * SAFETY > reach * reach)


@kernel
def entry(s: int) -> int:
    """Where in a row of ``lists`` the s-th entry is."""
    return BEFORE + 2 * s


@kernel
def span(s: int) -> int:
    """Where in a row of ``floats`` its distance is."""
    return BEFORE + 2 * s + 1


@kernel
def width_of(rows: Rows) -> int:
    """Entries that a list has room for."""
    return int((rows.lists.shape[1] - BEFORE) // 2)


@kernel
def note_changed(rows: Rows, journal: Journal, y: int) -> None:
    """Put y on the list of changed rows, once a batch."""
    if rows.lists[y, STAMP] != journal.size[2]:
        rows.lists[y, STAMP] = journal.size[2]
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
    place = rows.lists[z, DEGREE] % CHUNK
    if place == 0:
        chunk = take_chunk(rows)
        rows.chunks[chunk, CHUNK] = rows.lists[z, HEAD]
        rows.lists[z, HEAD] = chunk
    rows.chunks[rows.lists[z, HEAD], place] = y
    rows.lists[z, DEGREE] += 1


@kernel
def link_all(rows: Rows, sites: I32) -> None:
    """Link every entry of the lists of sites [n], where nothing is linked yet."""
    for y in sites:
        for s in range(rows.lists[y, FILLED]):
            link(rows, rows.lists[y, entry(s)], y)


@kernel
def place_of(rows: Rows, z: int, y: int) -> tuple[int, int]:
    """Chunk and position at which y stands among those who list z."""
    chunk, used = rows.lists[z, HEAD], in_first(rows.lists[z, DEGREE])
    while True:
        for i in range(used):
            if rows.chunks[chunk, i] == y:
                return chunk, i
        chunk, used = rows.chunks[chunk, CHUNK], CHUNK


@kernel
def unlink(rows: Rows, z: int, y: int) -> None:
    """Note that y no longer lists z: the last lister takes its place."""
    chunk, i = place_of(rows, z, y)
    first, last = rows.lists[z, HEAD], in_first(rows.lists[z, DEGREE]) - 1
    rows.chunks[chunk, i] = rows.chunks[first, last]
    rows.lists[z, DEGREE] -= 1
    if last == 0:
        rows.lists[z, HEAD] = rows.chunks[first, CHUNK]
        drop_chunk(rows, first)


@kernel
def closer(rows: Rows, y: int, d: np.float32) -> int:
    """How many entries of y are closer than d: the rank that an entry at distance d has."""
    rank = 0
    for s in range(rows.lists[y, FILLED]):
        if rows.floats[y, span(s)] < d:
            rank += 1
    return rank


@kernel
def entry_of(rows: Rows, y: int, x: int) -> int:
    """Where the list of y names x, or -1."""
    for s in range(rows.lists[y, FILLED]):
        if rows.lists[y, entry(s)] == x:
            return s
    return -1


@kernel
def clear_list(rows: Rows, y: int) -> None:
    """Empty the list of y; nothing is known about its surroundings until it is searched anew."""
    for s in range(rows.lists[y, FILLED]):
        prefetch(rows.lists, rows.lists[y, entry(s)], 0)
    for s in range(rows.lists[y, FILLED]):
        prefetch(rows.chunks, rows.lists[rows.lists[y, entry(s)], HEAD], 0)
    for s in range(rows.lists[y, FILLED]):
        unlink(rows, rows.lists[y, entry(s)], y)
    rows.lists[y, FILLED] = 0
    rows.facts[y, RADIUS] = -ONE


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
    if closer(rows, y, rows.floats[y, span(s)]) < k:
        note_changed(rows, journal, y)
    last = rows.lists[y, FILLED] - 1
    rows.lists[y, entry(s)] = rows.lists[y, entry(last)]
    rows.floats[y, span(s)] = rows.floats[y, span(last)]
    rows.lists[y, FILLED] = last
    if last < k and rows.facts[y, RADIUS] < np.inf:
        note_short(journal, y)


@kernel
def leave_lists(rows: Rows, journal: Journal, gone: I32, k: int) -> None:
    """Take each site of ``gone`` out of every list that names it."""
    for z in gone:
        chunk, used = rows.lists[z, HEAD], in_first(rows.lists[z, DEGREE])
        while chunk >= 0:
            for i in range(used):
                prefetch_row(rows.lists, rows.chunks[chunk, i])
            for i in range(used):
                leave_list(rows, journal, rows.chunks[chunk, i], z, k)
            following = rows.chunks[chunk, CHUNK]
            drop_chunk(rows, chunk)
            chunk, used = following, CHUNK
        rows.lists[z, HEAD] = NONE
        rows.lists[z, DEGREE] = 0


@kernel
def set_list(rows: Rows, x: int, hits: I32, others: int) -> None:
    """Fill the empty list of x with the nearest of the hits [m], padded with -1; itself is no hit.

    ``others`` are visible besides x: only a list of all of them has an infinite radius. An approximate search may return
    fewer than it was asked for; what lies beyond the last hit is not known then.
    """
    width = width_of(rows)
    found = 0
    for z in hits:
        if z < 0 or z == x:
            continue
        found += 1
        d = distance(rows.vectors[x], rows.vectors[z])
        s = min(found - 1, width)
        while s > 0 and rows.floats[x, span(s - 1)] > d:
            if s < width:
                rows.lists[x, entry(s)] = rows.lists[x, entry(s - 1)]
                rows.floats[x, span(s)] = rows.floats[x, span(s - 1)]
            s -= 1
        if s < width:
            rows.lists[x, entry(s)] = z
            rows.floats[x, span(s)] = d
    rows.lists[x, FILLED] = min(found, width)
    if found < width and found >= others:
        rows.facts[x, RADIUS] = np.inf
    else:
        rows.facts[x, RADIUS] = rows.floats[x, span(rows.lists[x, FILLED] - 1)] if found > 0 else np.float32(0)
    for s in range(rows.lists[x, FILLED]):
        link(rows, rows.lists[x, entry(s)], x)


@kernel
def set_lists(rows: Rows, journal: Journal, targets: I32, hits: I32, visible: Flags) -> None:
    """Make the list of each target [n] anew from the hits of a search [n, m] among the ``visible`` rows [cap]."""
    everybody = visible.sum()
    for i in range(len(targets)):
        for z in hits[i]:
            if z >= 0:
                prefetch(rows.chunks, rows.lists[z, HEAD], 0)
        clear_list(rows, targets[i])
        note_changed(rows, journal, targets[i])
        set_list(rows, targets[i], hits[i], everybody - visible[targets[i]])


@kernel
def farthest(rows: Rows, y: int) -> int:
    """The entry of y with the greatest distance."""
    worst = 0
    for s in range(1, rows.lists[y, FILLED]):
        if rows.floats[y, span(s)] > rows.floats[y, span(worst)]:
            worst = s
    return worst


@kernel
def offer(rows: Rows, journal: Journal, y: int, x: int, d: np.float32, k: int) -> None:
    """Let x, at distance d, into the list of y if it is within the radius of y; a full list gives up the farthest.

    The radius shrinks to the distance of what was given up, which may be x.
    """
    if d >= rows.facts[y, RADIUS] or entry_of(rows, y, x) >= 0:
        return
    width = width_of(rows)
    s = rows.lists[y, FILLED]
    if s == width:
        s = farthest(rows, y)
        if d >= rows.floats[y, span(s)]:
            rows.facts[y, RADIUS] = d
            return
        rows.facts[y, RADIUS] = rows.floats[y, span(s)]
        unlink(rows, rows.lists[y, entry(s)], y)
    else:
        rows.lists[y, FILLED] += 1
    rows.lists[y, entry(s)] = x
    rows.floats[y, span(s)] = d
    link(rows, x, y)
    if closer(rows, y, d) < k:
        note_changed(rows, journal, y)


@kernel
def note(rows: Rows, journal: Journal, y: int, found: int) -> int:
    """Put y on the candidates of the walk, once; returns how many there are now."""
    if rows.marks[y, TESTED] == journal.size[3]:
        return found
    rows.marks[y, TESTED] = journal.size[3]
    journal.candidates[found] = y
    return found + 1


@kernel
def note_all(rows: Rows, journal: Journal, sites: I32, found: int) -> int:
    """Put sites [m] on the candidates, those that are none (-1) left out; returns how many there are now."""
    for y in sites:
        if y >= 0:
            found = note(rows, journal, y, found)
    return found


@kernel
def note_listed(rows: Rows, journal: Journal, z: int, found: int) -> int:
    """Put all that z lists on the candidates; returns how many there are now."""
    for s in range(rows.lists[z, FILLED]):
        found = note(rows, journal, rows.lists[z, entry(s)], found)
    return found


@kernel
def note_listed_by(rows: Rows, journal: Journal, z: int, found: int) -> int:
    """Put all who list z on the candidates; returns how many there are now."""
    chunk, used = rows.lists[z, HEAD], in_first(rows.lists[z, DEGREE])
    while chunk >= 0:
        for j in range(used):
            prefetch(rows.codes, rows.chunks[chunk, j], 0)
        for j in range(used):
            found = note(rows, journal, rows.chunks[chunk, j], found)
        chunk, used = rows.chunks[chunk, CHUNK], CHUNK
    return found


@kernel
def keep(rows: Rows, pool: Pool, size: int, y: int, d: np.float32) -> int:
    """Let y, at distance d, into the pool, which is sorted; returns how many it has."""
    width = len(pool.site)
    if size == width and d >= pool.dist[width - 1]:
        return size
    size = min(size + 1, width)
    s = size - 1
    while s > 0 and pool.dist[s - 1] > d:
        pool.dist[s], pool.site[s], pool.left[s] = pool.dist[s - 1], pool.site[s - 1], pool.left[s - 1]
        s -= 1
    pool.dist[s], pool.site[s], pool.left[s] = d, y, True
    prefetch(rows.lists, y, 0)
    return size


@kernel
def weigh(
    rows: Rows, journal: Journal, vector: F32, visible: Flags, pool: Pool, size: int, first: int, last: int
) -> int:
    """Estimate how far the candidates from ``first`` on are, and keep the nearest visible; returns how many the pool has."""
    for a in range(first, last):
        if a + AHEAD < last:
            for j in range(LINE, rows.codes.shape[1], LINE):
                prefetch(rows.codes, journal.candidates[a + AHEAD], j)
        y = journal.candidates[a]
        journal.estimates[a] = estimate(rows, vector, y)
        if visible[y]:
            size = keep(rows, pool, size, y, journal.estimates[a])
    return size


@kernel
def walk(rows: Rows, journal: Journal, vector: F32, visible: Flags, pool: Pool, found: int) -> tuple[int, int]:
    """From the first ``found`` candidates to the surroundings of a vector: best first, from each site to all who list it.

    Source: the search of Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
    Navigable Small World graphs" (2018), algorithm 2, on our own graph: what it meets is what a join has to offer to.

    Returns how many candidates there are then, with estimates of their distance, and how many of these are in the pool.
    """
    size, at = weigh(rows, journal, vector, visible, pool, 0, 0, found), 0
    while at < size and (at < REACH or found < ENOUGH):
        if pool.left[at]:
            pool.left[at] = False
            before, z = found, pool.site[at]
            found = note_listed_by(rows, journal, z, found)
            if at < BOTH_WAYS:
                found = note_listed(rows, journal, z, found)
            size = weigh(rows, journal, vector, visible, pool, size, before, found)
            at = 0
        else:
            at += 1
    return found, size


@kernel
def reachable(rows: Rows, journal: Journal, x: int, found: int) -> int:
    """Keep those of the ``found`` candidates that may be within a radius, in their order; returns how many."""
    kept = 0
    for a in range(found):
        y = journal.candidates[a]
        if y != x and not beyond(rows, x, y, journal.estimates[a]):
            prefetch_row(rows.vectors, y)
            prefetch_row(rows.lists, y)
            journal.candidates[kept] = y
            kept += 1
    return kept


@kernel
def arrive(
    rows: Rows,
    journal: Journal,
    targets: I32,
    joining: bool,
    entries: I32,
    visible: Flags,
    k: int,
    pool: Pool,
) -> int:
    """Make the list of each target [n] anew, walking from its entries [n, m]; if it is joining, offer it to all it met.

    What a target met is offered to it, too, if it is ``visible`` [cap]. Returns the number of distances estimated.
    """
    estimated, everybody = 0, journal.size[4]
    for i in range(len(targets)):
        x = targets[i]
        journal.size[3] += 1
        rows.marks[x, TESTED] = journal.size[3]
        found = note_all(rows, journal, entries[i], 0)
        found = note_listed(rows, journal, x, found)
        found = note_listed_by(rows, journal, x, found)
        found, size = walk(rows, journal, rows.vectors[x], visible, pool, found)
        estimated += found
        clear_list(rows, x)
        note_changed(rows, journal, x)
        for s in range(size):
            prefetch_row(rows.vectors, pool.site[s])
        set_list(rows, x, pool.site[:size], everybody - visible[x])
        for a in range(reachable(rows, journal, x, found)):
            y = journal.candidates[a]
            d = distance(rows.vectors[x], rows.vectors[y])
            if joining:
                offer(rows, journal, y, x, d, k)
            if visible[y]:
                offer(rows, journal, x, y, d, k)
    return estimated


@kernel
def explore(rows: Rows, journal: Journal, vectors: F32, entries: I32, visible: Flags, pool: Pool, hits: I32) -> None:
    """The nearest visible sites of free vectors [n, dim], walking from entries [n, m], into hits [n, k], padded with -1."""
    for i in range(len(vectors)):
        journal.size[3] += 1
        found = note_all(rows, journal, entries[i], 0)
        _, size = walk(rows, journal, vectors[i], visible, pool, found)
        for s in range(size):
            pool.dist[s] = distance(vectors[i], rows.vectors[pool.site[s]])
        order = np.argsort(pool.dist[:size])
        for s in range(hits.shape[1]):
            hits[i, s] = pool.site[order[s]] if s < size else NONE


@kernel
def nearest(rows: Rows, sites: I32, others: I32, hits: I32) -> None:
    """By their codes, those of the others [m] that are nearest to each site [n], into hits [n, w], padded with -1."""
    width = hits.shape[1]
    best = np.empty(width, np.float32)
    for i in range(len(sites)):
        found = 0
        for y in others:
            d = estimate(rows, rows.vectors[sites[i]], y)
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
            squared[i, y] = distance(rows.vectors[sites[i]], rows.vectors[y]) if visible[y] else np.float32(np.inf)


@kernel
def best(rows: Rows, slots: I32, near: I32, dist: F32) -> None:
    """The nearest entries of each row [n], nearest first, into near and dist [n, k], padded with -1 and infinity."""
    k = near.shape[1]
    for i in range(len(slots)):
        y = slots[i]
        for s in range(rows.lists[y, FILLED]):
            d, z = rows.floats[y, span(s)], rows.lists[y, entry(s)]
            at = min(s, k)
            while at > 0 and later(rows, d, z, dist[i, at - 1], near[i, at - 1]):
                if at < k:
                    near[i, at] = near[i, at - 1]
                    dist[i, at] = dist[i, at - 1]
                at -= 1
            if at < k:
                near[i, at] = z
                dist[i, at] = d
        for at in range(min(rows.lists[y, FILLED], k), k):
            near[i, at] = NONE
            dist[i, at] = np.float32(np.inf)


@kernel
def note_listers(rows: Rows, journal: Journal, slots: I32, k: int) -> None:
    """Note as changed everybody who has one of the rows [n] among its nearest k."""
    for z in slots:
        chunk, used = rows.lists[z, HEAD], in_first(rows.lists[z, DEGREE])
        while chunk >= 0:
            for i in range(used):
                y = rows.chunks[chunk, i]
                if closer(rows, y, rows.floats[y, span(entry_of(rows, y, z))]) < k:
                    note_changed(rows, journal, y)
            chunk, used = rows.chunks[chunk, CHUNK], CHUNK


@kernel
def move_row(rows: Rows, old: int, new: int) -> None:
    """Let row ``new``, which is not in use, take over from row ``old``; the table is the caller's matter."""
    rows.vectors[new], rows.codes[new] = rows.vectors[old], rows.codes[old]
    rows.hashes[new] = rows.hashes[old]
    rows.lists[new] = rows.lists[old]
    chunk, used = rows.lists[new, HEAD], in_first(rows.lists[new, DEGREE])
    while chunk >= 0:
        for i in range(used):
            y = rows.chunks[chunk, i]
            rows.lists[y, entry(entry_of(rows, y, old))] = new
        chunk, used = rows.chunks[chunk, CHUNK], CHUNK
    for s in range(rows.lists[new, FILLED]):
        chunk, i = place_of(rows, rows.lists[new, entry(s)], old)
        rows.chunks[chunk, i] = new
    rows.lists[old, FILLED], rows.lists[old, DEGREE], rows.lists[old, HEAD] = 0, 0, NONE


@kernel
def pack_chunks(rows: Rows, packed: I32) -> None:
    """Copy all chunks in use, side by side, to another array, which is to be copied over ``rows.chunks`` then."""
    used = 0
    for z in range(len(rows.lists)):
        chunk = rows.lists[z, HEAD]
        if chunk >= 0:
            rows.lists[z, HEAD] = used
        while chunk >= 0:
            packed[used] = rows.chunks[chunk]
            chunk = rows.chunks[chunk, CHUNK]
            packed[used, CHUNK] = used + 1 if chunk >= 0 else NONE
            used += 1
    rows.pool[0], rows.pool[1] = NONE, used
