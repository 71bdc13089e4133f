"""What is particular to the hnswlib adapter: compaction and memory."""

from __future__ import annotations

import numpy as np

from consumer.hnsw import COMPACT_FROM, HnswIndex

DIM = 8


def filled(n: int) -> HnswIndex:
    index = HnswIndex(DIM)
    vectors = np.random.default_rng(0).normal(size=(n, DIM)).astype(np.float32)
    index.add(np.arange(n, dtype=np.int32), vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return index


def test_compaction_drops_the_dead_and_keeps_the_living() -> None:
    index = filled(3 * COMPACT_FROM)
    index.remove(np.arange(2 * COMPACT_FROM, dtype=np.int32))
    for _ in range(COMPACT_FROM):
        index.remove(np.array([2 * COMPACT_FROM], np.int32))
        index.add(np.array([2 * COMPACT_FROM], np.int32), np.eye(1, DIM, dtype=np.float32))
    assert index.dead <= COMPACT_FROM
    assert len(index) == COMPACT_FROM
    found = index.search(np.eye(1, DIM, dtype=np.float32), COMPACT_FROM)
    assert sorted(found[0].tolist()) == list(range(2 * COMPACT_FROM, 3 * COMPACT_FROM))


def test_changes_during_a_compaction_reach_the_next_index() -> None:
    index = filled(3 * COMPACT_FROM)
    index.remove(np.arange(2 * COMPACT_FROM, dtype=np.int32))
    victim, newcomer = np.array([3 * COMPACT_FROM - 1], np.int32), np.array([5], np.int32)
    index.remove(victim)
    index.add(newcomer, np.eye(1, DIM, dtype=np.float32))
    while index.compacting:
        index.remove(newcomer)
        index.add(newcomer, np.eye(1, DIM, dtype=np.float32))
    found = index.search(np.eye(1, DIM, dtype=np.float32), COMPACT_FROM)[0].tolist()
    assert found[0] == 5
    assert victim[0] not in found
    assert len(set(found)) == COMPACT_FROM
