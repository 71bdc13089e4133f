"""Runbooks made here, with their vectors, the same for the same seed: `python ops/bench/streams.py --write FOLDER`.

* random-xs: everything comes, half goes, and comes back.
* random-xs-clustered: cluster after cluster comes, then a part of each goes.
* drifting: a window slides over clusters whose centres move, as in the CleANN paper.
* delete-heavy: four fifths go in strides, some of the rest are replaced, a part comes back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from churn import Vectors, uneven_clusters
from rich.console import Console
from runbook import NOTHING, Operation, Runbook, Step, write_runbook

XS_DIM = 20
"""Dimensions of random-xs in big-ann-benchmarks."""
DIM = 64
CLUSTERS = 8
WINDOW_STEPS = 8
"""The window moves by an eighth of its length at a time."""
STRIDES = 4
SEED = 1

Planned = tuple[Operation, range, range]


class Stream(NamedTuple):
    """A runbook and the vectors [rows, dim] that it speaks of."""

    runbook: Runbook
    vectors: Vectors


def random_xs(products: int, seed: int) -> Stream:
    """Directions without any structure."""
    vectors = _unit(np.random.default_rng(seed).standard_normal((products, XS_DIM), np.float32))
    half = range(products // 2)
    plan = [_insert(range(products)), SEARCH, _delete(half), SEARCH, _insert(half), SEARCH]
    return Stream(_runbook("random-xs", products, plan), vectors)


def random_xs_clustered(products: int, seed: int) -> Stream:
    """Clusters of uneven size come one after another, so that each newcomer meets what its cluster has brought so far."""
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.full(CLUSTERS, 4.0))
    bounds = np.concatenate([[0], np.round(np.cumsum(shares) * products)]).astype(int).tolist()
    centres = random.standard_normal((CLUSTERS, XS_DIM), np.float32)
    which = np.repeat(np.arange(CLUSTERS), np.diff(bounds))
    vectors = _unit(centres[which] + 0.5 * random.standard_normal((products, XS_DIM), np.float32))
    clusters = [range(start, end) for start, end in itertools.pairwise(bounds)]
    plan = [step for cluster in clusters for step in (_insert(cluster), SEARCH)]
    plan += [_delete(cluster[: len(cluster) // 3]) for cluster in clusters]
    return Stream(_runbook("random-xs-clustered", products, [*plan, SEARCH]), vectors)


def drifting(products: int, seed: int) -> Stream:
    """Half of the products at a time; the oldest go as the newest come, and the newest lie elsewhere than the oldest did."""
    random = np.random.default_rng(seed)
    start, moves = random.standard_normal((2, CLUSTERS, DIM), np.float32)
    time = np.linspace(0, 1, products, dtype=np.float32)[:, None]
    which = random.integers(0, CLUSTERS, products)
    centres = start[which] * (1 - time) + moves[which] * time
    vectors = _unit(centres + 0.4 * random.standard_normal((products, DIM), np.float32))
    window = products // 2
    stride = window // WINDOW_STEPS
    plan = [_insert(range(window)), SEARCH]
    for first in range(0, window - stride + 1, stride):
        come, go = range(window + first, window + first + stride), range(first, first + stride)
        plan += [_insert(come), _delete(go), SEARCH]
    return Stream(_runbook("drifting", products, plan), vectors)


def delete_heavy(products: int, seed: int) -> Stream:
    """Lists that lose entry after entry, on uneven clusters."""
    fifth = products // 5
    stride = 4 * fifth // STRIDES
    plan = [_insert(range(products)), SEARCH]
    for first in range(0, stride * STRIDES, stride):
        plan += [_delete(range(first, first + stride)), SEARCH]
    tags = range(4 * fifth, 4 * fifth + fifth // 2)
    plan += [("replace", tags, range(products, products + len(tags))), SEARCH, _insert(range(fifth)), SEARCH]
    return Stream(_runbook("delete-heavy", products, plan), uneven_clusters(products + len(tags), DIM, seed))


STREAMS: dict[str, Callable[[int, int], Stream]] = {
    "random-xs": random_xs,
    "random-xs-clustered": random_xs_clustered,
    "drifting": drifting,
    "delete-heavy": delete_heavy,
}
"""From the number of products and a seed."""

SEARCH: Planned = ("search", NOTHING, NOTHING)


def write(
    folder: Annotated[Path, typer.Option("--write", help="Folder for NAME.yaml and NAME.npy of each stream.")],
    products: Annotated[int, typer.Option(min=100, help="Products of each stream.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Another seed, other vectors.")] = SEED,
) -> None:
    """Write the generated runbooks and their vectors."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in STREAMS.items():
        stream = make(products, seed)
        write_runbook(stream.runbook, folder / f"{name}.yaml")
        np.save(folder / f"{name}.npy", stream.vectors)
        Console().print(f"{folder / name}.yaml, .npy: {len(stream.runbook.steps)} steps, {len(stream.vectors)} vectors")


def _insert(tags: range) -> Planned:
    return "insert", tags, tags


def _delete(tags: range) -> Planned:
    return "delete", tags, NOTHING


def _runbook(name: str, max_pts: int, plan: list[Planned]) -> Runbook:
    steps = (Step(number, *planned) for number, planned in enumerate(plan, 1))
    return Runbook(name, max_pts, tuple(steps))


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


if __name__ == "__main__":
    typer.run(write)
