"""What is particular to the hnswlib adapter: compaction and memory."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

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


def test_a_file_that_is_cut_short_is_noticed(tmp_path: Path) -> None:
    """hnswlib says nothing of a full disk; a limit on the size of files is as good as one."""
    index = filled(2000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="No space left on device"):
            index.save(tmp_path / "index")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "index").stat().st_size < 200_000


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no/index"):
        filled(10).save(tmp_path / "no" / "index")


def test_a_compaction_begins_anew_after_a_load(tmp_path: Path) -> None:
    index = filled(3 * COMPACT_FROM)
    gone = np.arange(2 * COMPACT_FROM, dtype=np.int32)
    vectors = np.random.default_rng(0).normal(size=(3 * COMPACT_FROM, DIM)).astype(np.float32)
    index.remove(gone)
    assert index.compacting
    loaded = HnswIndex(DIM)
    loaded.load(tmp_path / "index", index.save(tmp_path / "index"), vectors)
    assert (loaded.dead, loaded.compacting) == (2 * COMPACT_FROM, False)
    while loaded.dead:
        loaded.maintain(500)
    assert len(loaded) == COMPACT_FROM
    found = loaded.search(vectors[-1:], COMPACT_FROM)[0].tolist()
    assert sorted(found) == list(range(2 * COMPACT_FROM, 3 * COMPACT_FROM))
