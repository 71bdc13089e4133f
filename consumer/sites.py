"""The graph of sites: the incremental k-nearest-neighbour graph with reverse join.

A site is a place in space where at least one product lies: products with the same vector share one. When a site x arrives,
the lists that must name it belong to sites near x; a walk through the graph, from beacons that the index finds, meets them.
Each list keeps ``slack`` entries more than it publishes, so that a removal seldom needs a search.
docs/architecture.md tells why it works.
"""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumer import kernels, table
from consumer.arrays import larger, resize
from consumer.kernels import BEFORE, CHUNK, HEADER, STAMP, TESTED, Journal, Pool, Rows
from consumer.ports import Index
from consumer.reserved import Reserved
from consumer.types import Arrays, Slots, Vectors

EVERY = 32
"""One in so many sites is a beacon: it is in the index, and walks begin there."""
LEAST_BEACONS = 2048
"""Of smaller catalogues all are."""
WIDE = 120
"""Beacons from which a second look begins, and one for a short list or a free vector; others begin with a list full."""
FURTHER = 30
"""Sites beyond a full list that a walk may go through."""
LONELY = 3
"""A newcomer on fewer lists is looked for once more: a walk may never reach a small, far-off group."""
OUTLYING = 4096
"""Lonely newcomers remembered at most, so that meeting them has a bounded cost."""
EXACT_AT_ONCE = 16
"""Sites that are compared with everybody in one call, so that the numbers of everybody are not written down too often."""
FREE = 90
"""Sites that a search for a free vector looks for at least: the wider it looks, the less it misses."""
FIRST_CAPACITY = 1024
MOST_GROWTH = 4096
"""Rows added at once at most: the system has to clear their memory while events wait."""
SPARSE = 3
"""Rows for each site from which on the arrays shrink."""
LAST_NUMBER = 2**31 - 2**24
"""Batches and walks are numbered by int32; from here on the numbers start again."""

DURABLE = ("vectors", "near", "dist", "filled", "radius")
"""Of ``Rows``: the others can be made from these."""

EMPTY: Slots = np.empty(0, np.int32)
NOBODY = -1


class SiteGraph:
    """Lists, radii and reverse links of sites, which are rows of flat arrays.

    Visible sites may be named by lists, and some of them are in the index: the beacons. Hidden ones keep a list of their own.
    """

    def __init__(self, index: Index, dim: int, k: int, slack: int, capacity: int = FIRST_CAPACITY) -> None:
        self.k = k
        self.width = k + slack
        self._wide = max(WIDE, self.width + 1)
        self.distances = 0
        self.visible = np.zeros(capacity, np.bool_)
        self.beacon = np.zeros(capacity, np.bool_)
        """In the index."""
        self.outlying = np.zeros(capacity, np.bool_)
        """Visible, and hardly listed when it came: the beginning of a group that a walk may never reach."""
        self._pool = _pool(self.width + FURTHER)
        self._in_use = np.zeros(capacity, np.bool_)
        self._least = capacity
        self._index = index
        self._reserved = _reserved(dim, self.width)
        self.rows = Rows(
            **self._large(capacity),
            hashes=np.zeros(capacity, np.int64),
            pool=np.array([-1, 0], np.int32),
            table=_table(capacity),
        )
        self.rows.head[:] = -1
        self._journal = _journal(capacity)
        self._free: list[int] = []
        """A heap: low rows are taken first, so that the arrays stay dense."""
        self._used = 0
        self._freed = EMPTY
        self._unbounded: set[int] = set()
        """Sites whose list names every visible site, fewer than a full list: each newcomer belongs on it."""

    def __len__(self) -> int:
        """Sites in use."""
        return self._used - len(self._free)

    @property
    def capacity(self) -> int:
        """Rows of the arrays."""
        return len(self.visible)

    def begin(self) -> None:
        """Begin a batch: what changes from here on is noted."""
        size = self._journal.size
        if max(size[2], size[3]) > LAST_NUMBER:
            for stamps in (self.rows.marks[:, TESTED], self.rows.lists[:, STAMP], self._journal.short_stamp):
                stamps[:] = 0
            size[2:4] = 0
        size[:2] = 0
        size[2] += 1

    def release(self, sites: Slots) -> None:
        """Sites [n] that no product lies at any more; their rows are free once the batch is applied."""
        if len(sites):
            table.forget(self.rows, sites)
        self._freed = sites

    def locate(self, vectors: Vectors) -> tuple[Slots, Slots]:
        """The sites [n] of vectors [n, dim], and those of them that are new."""
        if not len(vectors):
            return EMPTY, EMPTY
        unused = max(0, len(vectors) - len(self._free))
        self._reserve(self._used + unused)
        recycled = [heapq.heappop(self._free) for _ in range(len(vectors) - unused)]
        free = np.array([*recycled, *range(self._used, self._used + unused)], np.int32)
        sites = np.empty(len(vectors), np.int32)
        taken = table.locate(self.rows, np.ascontiguousarray(vectors), free, sites)
        for row in recycled[taken:]:
            heapq.heappush(self._free, row)
        self._used += max(0, taken - len(recycled))
        self._in_use[free[:taken]] = True
        return sites, free[:taken]

    def apply(self, hidden: Slots, shown: Slots, placed: Slots) -> None:
        """Apply one batch after ``release`` and ``locate``; a site may be in one of the first two only.

        Args:
            hidden: visible sites that leave all other lists.
            shown: sites that other lists may name from now on, some of which may be new.
            placed: new sites.
        """
        dropped, self._freed = self._freed, EMPTY
        self._leave(dropped, hidden)
        if len(placed):
            kernels.encode(self.rows, placed)
        self._show(shown, True)
        self._mark(shown if self._index.exhaustive else shown[self.rows.hashes[shown] % EVERY == 0])
        self._top_up()
        self._arrive(shown, placed)
        self._in_use[dropped] = False
        for row in dropped.tolist():
            heapq.heappush(self._free, row)

    def note_listers(self, sites: Slots) -> None:
        """Note as changed everybody who has one of the sites [n] among the k nearest."""
        if len(sites):
            kernels.note_listers(self.rows, self._journal, sites, self.k)

    def changed(self) -> Slots:
        """Sites whose k nearest changed in this batch, each once."""
        return self._journal.changed[: self._journal.size[0]].copy()

    def best(self, sites: Slots) -> tuple[Slots, NDArray[np.float32]]:
        """The k nearest of sites [n]: sites and squared distances [n, k], nearest first, padded with -1 and infinity."""
        near = np.empty((len(sites), self.k), np.int32)
        squared = np.empty((len(sites), self.k), np.float32)
        kernels.best(self.rows, sites, near, squared)
        return near, squared

    def search(self, vectors: Vectors, k: int) -> Slots:
        """The nearest visible sites of free vectors [n, dim]: sites [n, k] padded with -1."""
        hits = np.empty((len(vectors), k), np.int32)
        kernels.explore(
            self.rows,
            self._journal,
            vectors,
            self._entries(vectors, self._wide),
            self.visible,
            _pool(max(k, FREE)),
            hits,
        )
        return hits

    def measure(self, sites: Slots) -> NDArray[np.float32]:
        """Squared distances [n, rows] of sites [n] from every visible site; infinity for all other rows."""
        squared = np.empty((len(sites), self._used), np.float32)
        kernels.measure(self.rows, sites, self.visible, squared)
        return squared

    def heal(self, sites: Slots) -> None:
        """Make the lists of sites [n] anew from all visible sites, in a batch of their own: see ``changed``."""
        self.begin()
        everybody = np.flatnonzero(self.visible).astype(np.int32)
        kernels.set_lists(self.rows, self._journal, sites, np.tile(everybody, (len(sites), 1)), self.visible)
        self._watch(sites)

    def shrink(self, moves: int) -> dict[int, int]:
        """Give memory back when most rows are free: moves so many sites at most. Returns new row by old row."""
        goal = max(self._least, len(self) * 3 // 2)
        if self.capacity < SPARSE * goal:
            return {}
        top = (goal + np.flatnonzero(self._in_use[goal:])[-moves:]).tolist()
        moved = {old: heapq.heappop(self._free) for old in top}
        for old, new in moved.items():
            self._move(old, new)
            heapq.heappush(self._free, old)
        if len(top) < moves:
            self._truncate(goal)
        return moved

    def maintain(self, moves: int) -> None:
        """Let the index do so much of its maintenance."""
        self._index.maintain(moves)

    def parameters(self) -> dict[str, int]:
        """Those of the index."""
        return self._index.parameters

    def save(self, index_file: Path) -> Arrays:
        """Save the index; returns views of the arrays that everything else can be made from, a row a site.

        Raises:
            OSError: the file could not be written.
        """
        arrays = self._durable() | {"visible": self.visible, "in_use": self._in_use}
        return {name: array[: self._used] for name, array in arrays.items()} | {"labels": self._index.save(index_file)}

    def restore(self, arrays: Arrays, index_file: Path) -> None:
        """Take over, while empty, what save() wrote and returned; an array that an older version did not write stays zero."""
        used = len(arrays["in_use"])
        self._resize(max(self.capacity, used))
        self._used = used
        for name, array in self._durable().items():
            if name in arrays:
                array[: self._used] = arrays[name]
        self.visible[: self._used], self._in_use[: self._used] = arrays["visible"], arrays["in_use"]
        self._journal.size[4] = self.visible.sum()
        self._free = np.flatnonzero(~arrays["in_use"]).tolist()
        sites = np.flatnonzero(arrays["in_use"]).astype(np.int32)
        self._derive(sites)
        self._watch(sites)
        self.beacon[np.flatnonzero(arrays["labels"] >= 0)] = True
        self._index.load(index_file, arrays["labels"], self.rows.vectors)

    def nbytes(self) -> int:
        """Bytes of all arrays but the vectors."""
        rows = self.rows  # vectors left out, and views of the others
        large = (rows.codes, rows.lists, rows.chunks, rows.hashes, rows.pool, rows.table)
        return sum(a.nbytes for a in (*large, *self._journal, self.visible, self.beacon, self.outlying, self._in_use))

    def _durable(self) -> Arrays:
        """What else a site has can be made from these."""
        return {name: getattr(self.rows, name) for name in DURABLE} | {"outlying": self.outlying}

    def _derive(self, sites: Slots) -> None:
        """Make codes, links, hashes and the table of sites [n] from vectors and lists."""
        kernels.encode(self.rows, sites)
        kernels.link_all(self.rows, sites)
        table.hash_all(self.rows, sites)
        self._enter_all(sites)

    def _leave(self, dropped: Slots, hidden: Slots) -> None:
        if not len(dropped) + len(hidden):
            return
        kernels.clear_lists(self.rows, dropped)
        self._unbounded.difference_update(dropped.tolist())
        leaving = np.concatenate([dropped[self.visible[dropped]], hidden])
        kernels.leave_lists(self.rows, self._journal, leaving, self.k)
        self._show(leaving, False)
        beacons = leaving[self.beacon[leaving]]
        self.beacon[leaving] = self.outlying[leaving] = False
        self._index.remove(beacons)

    def _show(self, sites: Slots, visible: bool) -> None:
        """Let sites [n] be visible, or no longer."""
        self.visible[sites] = visible
        self._journal.size[4] += len(sites) if visible else -len(sites)

    def _arrive(self, shown: Slots, placed: Slots) -> None:
        """Find the lists of sites that came, were shown or fell short, and offer those that are shown to all others."""
        short = self._journal.short[: self._journal.size[1]]
        others = {*placed.tolist(), *short.tolist()}.difference(shown.tolist())
        self._search(shown, self.width + 1, joining=True)
        self._search(np.array(sorted(others), np.int32), self._wide, joining=False)
        if not self._index.exhaustive:
            self._find_lonely(self._lonely(shown))

    def _lonely(self, sites: Slots) -> Slots:
        """Those of sites [n] that hardly anybody lists."""
        return sites[self.rows.degree[sites] < LONELY]

    def _find_lonely(self, sites: Slots) -> None:
        """Look again for sites [n]; those that are lonely still become beacons, and are compared with all that were."""
        if not len(sites) or len(self._index) <= self._wide:
            return
        self._search(sites, self._wide, joining=True)
        outlying = np.flatnonzero(self.outlying[: self._used]).astype(np.int32)
        self.outlying[sites[: OUTLYING - len(outlying)]] = True
        lonely = self._lonely(sites)
        if not len(lonely):
            return
        self._mark(lonely[~self.beacon[lonely]])
        met = np.full((len(lonely), self.width), NOBODY, np.int32)
        kernels.nearest(self.rows, lonely, np.union1d(outlying, sites).astype(np.int32), met)
        self._walk(lonely, met, joining=True)

    def _search(self, sites: Slots, entries: int, *, joining: bool) -> None:
        """Make the lists of sites [n] anew, from so many entries each; when they are joining, others may name them."""
        step = EXACT_AT_ONCE if self._index.exhaustive else max(1, len(sites))
        for start in range(0, len(sites), step):
            some = sites[start : start + step]
            self._walk(some, self._entries(self.rows.vectors[some], entries), joining=joining)

    def _walk(self, sites: Slots, entries: Slots, *, joining: bool) -> None:
        unbounded = np.array(sorted(self._unbounded), np.int32)
        begun = np.hstack([entries, np.tile(unbounded, (len(sites), 1))])
        self.distances += kernels.arrive(
            self.rows, self._journal, sites, joining, begun, self.visible, self.k, self._pool
        )
        self._watch(np.concatenate([sites, unbounded]))

    def _entries(self, vectors: Vectors, most: int) -> Slots:
        """Sites [n, m] from which to walk to vectors [n, dim]: the nearest beacons, or everybody where all shall be met."""
        if self._index.exhaustive:
            return np.tile(np.flatnonzero(self._in_use).astype(np.int32), (len(vectors), 1))
        return self._index.search(vectors, most)

    def _mark(self, sites: Slots) -> None:
        """Make visible sites [n] beacons."""
        self.beacon[sites] = True
        self._index.add(sites, self.rows.vectors[sites])

    def _top_up(self) -> None:
        """Small catalogues are all beacons."""
        missing = min(int(self._journal.size[4]), LEAST_BEACONS) - len(self._index)
        if missing > 0:
            self._mark(np.flatnonzero(self.visible & ~self.beacon)[:missing].astype(np.int32))

    def _watch(self, sites: Slots) -> None:
        """Remember which of the sites have a list that names everybody."""
        unbounded = np.isinf(self.rows.radius[sites])
        if not self._unbounded and not unbounded.any():
            return
        self._unbounded.difference_update(sites[~unbounded].tolist())
        self._unbounded.update(sites[unbounded].tolist())

    def _move(self, old: int, new: int) -> None:
        table.forget(self.rows, np.array([old], np.int32))
        kernels.move_row(self.rows, old, new)
        table.enter(self.rows, new)
        if self.beacon[old]:
            self._index.rename(old, new)
        for flags in (self.beacon, self.outlying):
            flags[new], flags[old] = flags[old], False
        self.visible[new], self.visible[old] = self.visible[old], False
        self._in_use[new], self._in_use[old] = True, False
        if old in self._unbounded:
            self._unbounded.remove(old)
            self._unbounded.add(new)

    def _truncate(self, capacity: int) -> None:
        """Give back the rows from ``capacity`` on, all of which are free, and the chunks that nobody uses."""
        packed = np.zeros((_chunks(capacity, self.width), CHUNK + 1), np.int32)
        kernels.pack_chunks(self.rows, packed)
        self.rows.chunks[: len(packed)] = packed
        self._used = min(self._used, capacity)
        self._free = [row for row in self._free if row < capacity]
        heapq.heapify(self._free)
        self._resize(capacity)
        self._rehash()

    def _reserve(self, rows: int) -> None:
        if rows <= self.capacity:
            return
        self._resize(larger(rows, self.capacity, MOST_GROWTH))
        if len(self.rows.table) < 2 * self.capacity:
            self._rehash()

    def _rehash(self) -> None:
        """Make a table that fits the capacity."""
        self._enter_all(self.rows.table[self.rows.table >= 0])

    def _enter_all(self, sites: Slots) -> None:
        """Make the table anew, of sites [n]."""
        self.rows = self.rows._replace(table=_table(self.capacity))
        table.fill_table(self.rows, sites)

    def _resize(self, capacity: int) -> None:
        for array in (self.rows.hashes, *self._journal[:-1], self.visible, self.beacon, self.outlying, self._in_use):
            resize(array, capacity)
        self.rows = self.rows._replace(**self._large(capacity))
        self.rows.head[self._used :] = -1

    def _large(self, capacity: int) -> dict[str, Any]:
        """The large arrays of ``Rows`` for so many rows, and the views of them."""
        arrays = {
            name: reserved.resized(_chunks(capacity, self.width) if name == "chunks" else capacity)
            for name, reserved in self._reserved.items()
        }
        codes, lists = arrays["codes"], arrays["lists"]
        return arrays | {
            "facts": codes.view(np.float32),
            "marks": codes.view(np.int32),
            "floats": lists.view(np.float32),
        }


def _pool(width: int) -> Pool:
    return Pool(np.empty(width, np.float32), np.empty(width, np.int32), np.empty(width, np.bool_))


def _chunks(capacity: int, width: int) -> int:
    """As many as there can be: one for every row, and a further one for each CHUNK entries beyond the first."""
    return capacity + capacity * (width - 1) // CHUNK


def _table(capacity: int) -> Slots:
    return np.full(1 << (2 * capacity - 1).bit_length(), -1, np.int32)


def _reserved(dim: int, width: int) -> dict[str, Reserved]:
    """The large arrays of ``Rows``."""
    return {
        "vectors": Reserved(dim, np.float32),
        "codes": Reserved(HEADER + -(-dim // 4) * 4, np.int8),
        "lists": Reserved(BEFORE + 2 * width, np.int32),
        "chunks": Reserved(CHUNK + 1, np.int32),
    }


def _journal(capacity: int) -> Journal:
    return Journal(
        changed=np.zeros(capacity, np.int32),
        short_stamp=np.zeros(capacity, np.int32),
        short=np.zeros(capacity, np.int32),
        candidates=np.zeros(capacity, np.int32),
        estimates=np.zeros(capacity, np.float32),
        size=np.zeros(5, np.int32),
    )
