"""The contract of consumer.ports.Index, run on every implementation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from consumer.exact import ExactIndex
from consumer.hnsw import HnswIndex
from consumer.ports import Index
from consumer.types import Vectors

DIM = 16
Make = Callable[[], Index]


@pytest.fixture(params=[ExactIndex, HnswIndex])
def index(request: pytest.FixtureRequest) -> Index:
    made: Index = request.param(DIM)
    return made


def unit(n: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def slots(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(numbers, np.int32)


def test_empty_index_finds_nothing(index: Index) -> None:
    assert len(index) == 0
    assert index.search(unit(2), 3).tolist() == [[-1, -1, -1], [-1, -1, -1]]


def test_finds_nearest_first(index: Index) -> None:
    vectors = unit(200)
    index.add(np.arange(200, dtype=np.int32), vectors)
    found = index.search(vectors[:20], 5)
    exact = np.argsort(-(vectors[:20] @ vectors.T), axis=1)[:, :5]
    assert found.tolist() == exact.tolist()


def test_pads_when_fewer_are_live(index: Index) -> None:
    index.add(slots(7, 3), unit(2))
    found = index.search(unit(1), 4)[0].tolist()
    assert sorted(found[:2]) == [3, 7]
    assert found[2:] == [-1, -1]


def test_removed_slots_are_never_found(index: Index) -> None:
    vectors = unit(50)
    index.add(np.arange(50, dtype=np.int32), vectors)
    index.remove(np.arange(0, 50, 2, dtype=np.int32))
    assert len(index) == 25
    found = index.search(vectors, 25)
    assert set(found.ravel().tolist()) == set(range(1, 50, 2))


def test_a_slot_returns_with_another_vector(index: Index) -> None:
    vectors = unit(30)
    index.add(np.arange(30, dtype=np.int32), vectors)
    index.remove(slots(4))
    index.add(slots(4), -vectors[5:6])
    assert index.search(-vectors[5:6], 1).tolist() == [[4]]
    assert (index.search(unit(10, seed=9), 30) == 4).sum(axis=1).tolist() == [1] * 10


def test_removing_what_is_not_there_is_an_error(index: Index) -> None:
    index.add(slots(1), unit(1))
    with pytest.raises(KeyError, match="2"):
        index.remove(slots(2))
    index.remove(slots(1))
    with pytest.raises(KeyError, match="1"):
        index.remove(slots(1))


def test_empty_calls_do_nothing(index: Index) -> None:
    index.add(slots(), unit(0))
    index.remove(slots())
    assert index.search(unit(0), 3).shape == (0, 3)
    assert len(index) == 0


def test_grows_far_beyond_the_first_capacity(index: Index) -> None:
    vectors = unit(3000)
    for start in range(0, 3000, 500):
        part = np.arange(start, start + 500, dtype=np.int32)
        index.add(part, vectors[part])
    assert len(index) == 3000
    assert index.search(vectors[::300], 1).ravel().tolist() == list(range(0, 3000, 300))


def test_long_churn_keeps_the_answers_right(index: Index) -> None:
    """Enough replacements that an index which keeps its dead has to compact, more than once."""
    random = np.random.default_rng(1)
    vectors = unit(400)
    index.add(np.arange(400, dtype=np.int32), vectors)
    for _ in range(400):
        changed = random.choice(400, 15, replace=False).astype(np.int32)
        index.remove(changed)
        vectors[changed] = unit(15, seed=int(random.integers(1 << 30)))
        index.add(changed, vectors[changed])
    assert len(index) == 400
    found = index.search(vectors, 10)
    exact = np.argsort(-(vectors @ vectors.T), axis=1)[:, :10]
    overlap = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), exact.tolist(), strict=True)])
    assert overlap >= 0.995


def test_a_renamed_slot_is_found_under_its_new_name(index: Index) -> None:
    vectors = unit(5)
    index.add(np.arange(5, dtype=np.int32), vectors)
    index.rename(2, 2000)
    assert index.search(vectors[2:3], 1).tolist() == [[2000]]
    with pytest.raises(KeyError, match="2"):
        index.remove(slots(2))
    with pytest.raises(KeyError, match="7"):
        index.rename(7, 8)
    index.remove(slots(2000))
    index.add(slots(2), vectors[2:3])
    assert sorted(index.search(vectors[:1], 5)[0].tolist()) == [0, 1, 2, 3, 4]


def test_maintenance_changes_no_answer(index: Index) -> None:
    """Renames, removals and additions in the middle of it included."""
    vectors = unit(5000)
    index.add(np.arange(5000, dtype=np.int32), vectors)
    index.remove(np.arange(1000, 5000, dtype=np.int32))
    for turn in range(30):
        index.maintain(50)
        index.rename(turn, 6000 + turn)
        index.remove(slots(100 + turn))
        index.add(slots(1000 + turn), vectors[1000 + turn : 1001 + turn])
        index.maintain(50)
    names = np.concatenate([np.arange(6000, 6030), np.arange(30, 100), np.arange(130, 1030)])
    held = np.concatenate([vectors[:100], vectors[130:1030]])
    assert len(index) == len(held)
    assert index.search(held, 1).ravel().tolist() == names.tolist()
    exact = np.argsort(-(held @ held.T), axis=1)[:, :10]
    found = index.search(held, 10)
    overlap = [len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), names[exact].tolist(), strict=True)]
    assert np.mean(overlap) >= 0.995


def test_what_was_saved_is_loaded(index: Index, tmp_path: Path) -> None:
    """Gaps, renames and the dead included; both then answer alike, and go on alike."""
    vectors = unit(3000)
    index.add(np.arange(2000, dtype=np.int32), vectors[:2000])
    index.remove(np.arange(300, 900, dtype=np.int32))
    index.rename(7, 2500)
    labels = index.save(tmp_path / "index")
    loaded = type(index)(DIM)
    by_slot = vectors.copy()
    by_slot[2500] = vectors[7]
    loaded.load(tmp_path / "index", labels, by_slot)
    assert len(loaded) == len(index) == 1400
    queries = unit(50, seed=2)
    assert loaded.search(queries, 20).tolist() == index.search(queries, 20).tolist()
    with pytest.raises(KeyError, match="300"):
        loaded.remove(slots(300))
    loaded.remove(slots(2500))
    loaded.add(np.arange(300, 900, dtype=np.int32), vectors[2000:2600])
    held = np.concatenate([vectors[:7], vectors[2000:2600], vectors[900:2000]])
    assert loaded.search(held[::10], 1).ravel().tolist() == np.delete(np.arange(0, 2000), slice(7, 300))[::10].tolist()


def test_an_empty_index_is_saved_and_loaded(index: Index, tmp_path: Path) -> None:
    labels = index.save(tmp_path / "index")
    loaded = type(index)(DIM)
    loaded.load(tmp_path / "index", labels, unit(0))
    assert len(loaded) == 0
    loaded.add(slots(5, 2), unit(2))
    assert loaded.search(unit(2), 1).ravel().tolist() == [5, 2]
