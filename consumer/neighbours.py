"""The neighbour graph: every product's nearest products, kept right while products come, change, hide and go.

Products with the same vector share a site (consumer.sites), so that ten thousand identical products cost what one costs, and
a list is made when it is asked for:

1. the other products at the product's own site, in the order of their ids, from the product's own id on and round again:
   identical products name each other evenly, where "the smallest ids" would be named by all of them;
2. then site after site, nearest first, the products of each in the order of their ids.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from consumer.arrays import larger, resize, trimmed
from consumer.metric import scores
from consumer.ports import Index
from consumer.sites import EMPTY, FIRST_CAPACITY, SiteGraph
from consumer.types import Arrays, Metric, Slots, Vectors

NOWHERE, TWINS = -1, -2
"""In place of the one product at a site: there is none, or several."""

Twins = list[tuple[str, int]]
"""(id, slot) of all products at one site, sorted."""


class NeighbourGraph:
    """Lists of products over slots that the caller assigns (0, 1, 2, … densely; freed ones may return).

    Visible products may be named by lists. Hidden ones keep a list of their own.
    """

    def __init__(
        self,
        index: Index,
        dim: int,
        k: int,
        slack: int,
        id_of: Callable[[int], str],
        metric: Metric = "cosine",
        capacity: int = FIRST_CAPACITY,
    ) -> None:
        self.k = k
        self.metric = metric
        self.sites = SiteGraph(index, dim, k, slack, capacity)
        self._id_of = id_of
        self._site_of: Slots = np.full(self.sites.capacity, -1, np.int32)
        self._visible = np.zeros(self.sites.capacity, np.bool_)
        self._weight: Slots = np.zeros(self.sites.capacity, np.int32)
        """Visible products at a site."""
        self._only: Slots = np.full(self.sites.capacity, NOWHERE, np.int32)
        self._twins: dict[int, Twins] = {}

    @property
    def distances(self) -> int:
        """Distances computed by all joins so far."""
        return self.sites.distances

    def apply(self, dropped: Slots, hidden: Slots, shown: Slots, placed: Slots, vectors: Vectors) -> Slots:
        """Apply one batch; a slot may be in one of the arguments only.

        Args:
            dropped: products that are gone.
            hidden: visible products that leave all other lists.
            shown: products that other lists may name from now on; those that are ``placed`` as visible are in both.
            placed: products with a new vector, whatever they were before.
            vectors: [len(placed), dim], as ``consumer.metric.placed`` makes them.

        Returns:
            The slots whose published list changed, each once.
        """
        if not len(dropped) + len(hidden) + len(shown) + len(placed):
            return EMPTY
        self._reserve(dropped, hidden, shown, placed)
        self.sites.begin()
        changes = _Changes()
        self._leave(np.concatenate([dropped, placed[self._site_of[placed] >= 0]]), changes, stays=False)
        self._leave(hidden, changes, stays=True)
        self.sites.release(np.array([site for site in changes.weights if self._only[site] == NOWHERE], np.int32))
        located, new = self.sites.locate(vectors + np.float32(0))  # there is one zero
        self._extend()
        self._place(placed, located)
        self._show(shown, changes)
        appeared, vanished = changes.visibility(self._weight)
        self.sites.apply(vanished[self._only[vanished] != NOWHERE], appeared, new)
        self.sites.note_listers(np.array(sorted(changes.outside), np.int32))
        return self._touched(changes.inside.union(placed.tolist()), self.sites.changed(), dropped)

    def best(self, slots: Slots) -> tuple[Slots, NDArray[np.float32]]:
        """The published lists: neighbour slots and scores [n, k], best first, padded with -1 and -inf."""
        products, squared = self._best(slots)
        return products, scores(self.metric, squared)

    def _best(self, slots: Slots) -> tuple[Slots, NDArray[np.float32]]:
        """The published lists: neighbour slots and squared distances [n, k], padded with -1 and infinity."""
        own = self._site_of[slots]
        near, squared = self.sites.best(own)
        products = np.where(near >= 0, self._only[near], NOWHERE)
        for row in np.flatnonzero((self._only[own] == TWINS) | (products == TWINS).any(axis=1)):
            named = list(islice(self._named(int(slots[row]), near[row], squared[row]), self.k))
            products[row], squared[row] = NOWHERE, np.inf
            for at, (slot, distance) in enumerate(named):
                products[row, at], squared[row, at] = slot, distance
        return products, squared

    def vectors(self, slots: Slots) -> Vectors:
        """A copy of the vectors [n, dim]."""
        return self.sites.rows.vectors[self._site_of[slots]]

    def search(self, vectors: Vectors, k: int) -> tuple[Slots, NDArray[np.float32]]:
        """The nearest visible products of free vectors [n, dim]: slots [n, k] padded with -1, and scores."""
        slots = np.full((len(vectors), k), -1, np.int32)
        squared = np.full((len(vectors), k), np.inf, np.float32)
        for row, near in enumerate(self.sites.search(vectors, k)):
            sites = near[near >= 0]
            distances = ((self.sites.rows.vectors[sites] - vectors[row]) ** 2).sum(axis=1)
            for at, (slot, distance) in enumerate(islice(self._expanded(sites, distances), k)):
                slots[row, at], squared[row, at] = slot, distance
        return slots, scores(self.metric, squared)

    def recall(self, slots: Slots) -> NDArray[np.float64]:
        """Of the published list of each slot [n]: the share of its entries that are as near as the exact k nearest."""
        squared = self.sites.measure(self._site_of[slots])
        _, published = self._best(slots)
        return np.array([self._share(*row) for row in zip(slots.tolist(), squared, published, strict=True)])

    def sample(self, size: int, random: np.random.Generator) -> Slots:
        """So many products at random, or all if there are fewer."""
        slots = np.flatnonzero(self._site_of >= 0).astype(np.int32)
        return random.choice(slots, min(size, len(slots)), replace=False)

    def heal(self, slots: Slots) -> Slots:
        """Make the lists of slots [n] anew from the exact answer; returns all slots whose list changed by that."""
        self.sites.heal(np.unique(self._site_of[slots]))
        return self._touched(set(), self.sites.changed(), EMPTY)

    def maintain(self, moves: int) -> None:
        """Do a bounded part of what keeps memory in proportion to the living; for idle moments."""
        self.sites.maintain(moves)
        for old, new in self.sites.shrink(moves).items():
            self._weight[new], self._weight[old] = self._weight[old], 0
            self._only[new], self._only[old] = self._only[old], NOWHERE
            if old in self._twins:
                self._twins[new] = self._twins.pop(old)
            for slot in self._at(new):
                self._site_of[slot] = new
        self._extend()

    def save(self, index_file: Path) -> Arrays:
        """Save the index; returns views of the arrays that everything else can be made from.

        Raises:
            OSError: the file could not be written.
        """
        site_of = trimmed(self._site_of)
        return self.sites.save(index_file) | {"site_of": site_of, "shown": self._visible[: len(site_of)]}

    def restore(self, arrays: Arrays, index_file: Path) -> None:
        """Take over, while empty, what save() wrote and returned; the ids of all slots are known already."""
        self.sites.restore(arrays, index_file)
        self._extend()
        slots = np.flatnonzero(arrays["site_of"] >= 0).astype(np.int32)
        self._reserve(slots)
        sites, visible = arrays["site_of"][slots], arrays["shown"][slots]
        self._site_of[slots], self._visible[slots] = sites, visible
        np.add.at(self._weight, sites, visible)
        self._only[sites] = slots
        several = np.bincount(sites)[sites] > 1
        for slot, site in zip(slots[several].tolist(), sites[several].tolist(), strict=True):
            self._twins.setdefault(site, []).append((self._id_of(slot), slot))
        for site, twins in self._twins.items():
            self._only[site] = TWINS
            twins.sort()

    def nbytes(self) -> int:
        """Bytes of all arrays but the vectors."""
        return self.sites.nbytes() + sum(a.nbytes for a in (self._site_of, self._visible, self._weight, self._only))

    def _leave(self, slots: Slots, changes: _Changes, *, stays: bool) -> None:
        """Products leave their sites, or stay there but hidden."""
        sites, visible = self._site_of[slots], self._visible[slots]
        changes.meet(sites, self._weight)
        for slot, site in zip(slots.tolist(), sites.tolist(), strict=True):
            if self._only[site] == TWINS:
                self._note(slot, site, changes)
                if not stays:
                    self._remove(slot, site)
            elif not stays:
                self._only[site] = NOWHERE
        np.subtract.at(self._weight, sites, visible)
        self._visible[slots] = False
        if not stays:
            self._site_of[slots] = -1

    def _place(self, placed: Slots, located: Slots) -> None:
        """Products come to their sites, hidden for now."""
        self._site_of[placed] = located
        for slot, site in zip(placed.tolist(), located.tolist(), strict=True):
            if self._only[site] == NOWHERE:
                self._only[site] = slot
            else:
                self._insert(slot, site)

    def _show(self, shown: Slots, changes: _Changes) -> None:
        sites = self._site_of[shown]
        changes.meet(sites, self._weight)
        self._visible[shown] = True
        np.add.at(self._weight, sites, 1)
        twins = self._only[sites] == TWINS
        for slot, site in zip(shown[twins].tolist(), sites[twins].tolist(), strict=True):
            self._note(slot, site, changes)

    def _note(self, slot: int, site: int, changes: _Changes) -> None:
        """Note whose list may change as one of several products at a site comes or goes; nobody names a hidden one."""
        if not self._visible[slot]:
            return
        twins = self._twins[site]
        at = bisect.bisect_left(twins, (self._id_of(slot), slot))
        if self._visible_before(twins, at) < self.k:
            changes.outside.add(site)
        passed = 0
        for step in range(1, len(twins)):
            other = twins[at - step][1]
            changes.inside.add(other)
            passed += bool(self._visible[other])
            if passed > self.k:
                break

    def _visible_before(self, twins: Twins, at: int) -> int:
        """Visible products among the first ``at``, counted no further than k."""
        found = 0
        for _, slot in islice(twins, at):
            found += bool(self._visible[slot])
            if found == self.k:
                break
        return found

    def _insert(self, slot: int, site: int) -> None:
        if self._only[site] != TWINS:
            first = int(self._only[site])
            self._twins[site] = [(self._id_of(first), first)]
            self._only[site] = TWINS
        bisect.insort(self._twins[site], (self._id_of(slot), slot))

    def _remove(self, slot: int, site: int) -> None:
        twins = self._twins[site]
        del twins[bisect.bisect_left(twins, (self._id_of(slot), slot))]
        if len(twins) == 1:
            self._only[site] = twins[0][1]
            del self._twins[site]

    def _touched(self, inside: set[int], changed: Slots, dropped: Slots) -> Slots:
        """The products whose list changed: those of changed sites, unless they name none but each other, and ``inside``."""
        only = self._only[changed]
        touched = inside | set(only[only >= 0].tolist())
        for site in changed[only == TWINS].tolist():
            if self._weight[site] <= self.k:
                touched.update(self._at(site))
        touched.difference_update(dropped.tolist())
        return np.fromiter(touched, np.int32, len(touched))

    def _at(self, site: int) -> list[int]:
        """All products at a site."""
        only = int(self._only[site])
        if only == TWINS:
            return [slot for _, slot in self._twins[site]]
        return [] if only == NOWHERE else [only]

    def _named(self, slot: int, near: Slots, squared: NDArray[np.float32]) -> Iterator[tuple[int, float]]:
        """All that the list of a product may name, in its order: slots and squared distances."""
        site = int(self._site_of[slot])
        if self._only[site] == TWINS:
            twins = self._twins[site]
            at = bisect.bisect_left(twins, (self._id_of(slot), slot))
            ring = chain(islice(twins, at + 1, None), islice(twins, at))
            yield from ((other, 0.0) for _, other in ring if self._visible[other])
        yield from self._expanded(near[near >= 0], squared)

    def _expanded(self, sites: Slots, squared: NDArray[np.float32]) -> Iterator[tuple[int, float]]:
        """The visible products at the sites, in the order of the sites and of their ids."""
        for site, distance in zip(sites.tolist(), squared.tolist(), strict=False):
            for slot in self._at(site):
                if self._visible[slot]:
                    yield slot, distance

    def _share(self, slot: int, squared: NDArray[np.float32], published: NDArray[np.float32]) -> float:
        """Both sides are distances by the same kernel, so that equal ones are the same bits."""
        weight = self._weight[: len(squared)].copy()
        weight[self._site_of[slot]] -= self._visible[slot]
        squared[weight == 0] = np.inf
        wanted = min(self.k, int(weight.sum()))
        nearest = np.argpartition(squared, min(self.k, len(squared) - 1))[: self.k + 1]
        nearest = nearest[np.argsort(squared[nearest])]
        last = squared[nearest[np.searchsorted(np.cumsum(weight[nearest]), wanted)]] if wanted else np.inf
        right = ((published < np.inf) & (published <= last)).sum()
        return min(int(right), wanted) / wanted if wanted else 1.0

    def _reserve(self, *slots: Slots) -> None:
        rows = max(int(part.max(initial=-1)) for part in slots) + 1
        held = len(self._visible)
        if rows > held:
            capacity = larger(rows, held, held)
            resize(self._site_of, capacity, fill=-1)
            resize(self._visible, capacity)

    def _extend(self) -> None:
        """Bring the arrays by site to the capacity of the sites."""
        if len(self._only) != self.sites.capacity:
            resize(self._only, self.sites.capacity, fill=NOWHERE)
            resize(self._weight, self.sites.capacity)


class _Changes:
    """What happens to sites in one batch: their weight before, and the lists that twins may have changed."""

    def __init__(self) -> None:
        self.weights: dict[int, int] = {}
        """Visible products at the site before the batch."""
        self.inside: set[int] = set()
        """Products at the same site as one that came or went."""
        self.outside: set[int] = set()
        """Sites whose first k products changed: lists that name the site are made anew."""

    def meet(self, sites: Slots, weight: Slots) -> None:
        """Remember more sites [n]; those not met so far have their old weight still."""
        for site, visible in zip(sites.tolist(), weight[sites].tolist(), strict=True):
            self.weights.setdefault(site, visible)

    def visibility(self, weight: Slots) -> tuple[Slots, Slots]:
        """The sites that have a visible product now and had none, and the other way round."""
        sites = np.fromiter(self.weights, np.int32, len(self.weights))
        before = np.fromiter(self.weights.values(), np.int32, len(self.weights))
        now = weight[sites]
        return sites[(before == 0) & (now > 0)], sites[(before > 0) & (now == 0)]


def warm_up(index: Index, dim: int) -> None:
    """Have the kernels compiled, or read from their cache, before the first event waits for them."""
    graph = NeighbourGraph(index, dim, k=1, slack=0, id_of=str, capacity=1)
    slots, no_vectors = np.arange(12, dtype=np.int32), np.empty((0, dim), np.float32)
    vectors = np.linspace(1, 2, 6 * dim, dtype=np.float32).reshape(6, dim)
    graph.apply(EMPTY, EMPTY, slots, slots, np.concatenate([vectors, vectors]))
    graph.heal(slots[:1])
    graph.recall(slots[:1])
    graph.best(slots)
    graph.apply(slots[1:5], EMPTY, EMPTY, EMPTY, no_vectors)
    graph.apply(slots[7:], EMPTY, EMPTY, EMPTY, no_vectors)
    graph.maintain(8)
