"""Generated vectors, events and runbooks."""

from __future__ import annotations

from pathlib import Path

import churn
import numpy as np
import pytest
from runbook import read_runbook, read_vectors
from streams import STREAMS, write


@pytest.mark.parametrize("name", list(STREAMS))
def test_a_stream_is_the_same_for_the_same_seed_and_no_other(name: str) -> None:
    first, again, other = STREAMS[name](400, 1), STREAMS[name](400, 1), STREAMS[name](400, 2)
    assert first.runbook == again.runbook
    np.testing.assert_array_equal(first.vectors, again.vectors)
    assert not np.array_equal(first.vectors, other.vectors)


@pytest.mark.parametrize("name", list(STREAMS))
@pytest.mark.parametrize("products", [100, 403])
def test_steps_name_what_is_there(name: str, products: int) -> None:
    """What goes or is replaced lives, what comes does not; every stream searches at its end."""
    runbook, vectors = STREAMS[name](products, 1)
    live: set[int] = set()
    for step in runbook.steps:
        if step.operation == "insert":
            assert live.isdisjoint(step.tags)
            live |= set(step.tags)
        elif step.operation != "search":
            assert live.issuperset(step.tags)
            live -= set(step.tags) if step.operation == "delete" else set()
    assert runbook.steps[-1].operation == "search"
    assert len(vectors) >= runbook.rows
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_written_streams_can_be_read(tmp_path: Path) -> None:
    write(tmp_path, products=200, seed=3)
    for name, make in STREAMS.items():
        stream = make(200, 3)
        assert read_runbook(tmp_path / f"{name}.yaml") == stream.runbook
        read = read_vectors(tmp_path / f"{name}.npy", stream.runbook.rows)
        np.testing.assert_allclose(read, stream.vectors[: stream.runbook.rows], atol=1e-6)


def test_uneven_clusters_are_unit_vectors_in_uneven_clusters() -> None:
    vectors = churn.uneven_clusters(3000, 48, 5)
    np.testing.assert_array_equal(vectors, churn.uneven_clusters(3000, 48, 5))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert vectors.dtype == np.float32
    near = (vectors @ vectors.T > 0.6).sum(axis=1)
    assert np.percentile(near, 90) > 4 * np.percentile(near, 10)


def test_uneven_clusters_do_not_depend_on_what_is_asked_for_beyond_a_block() -> None:
    few, many = churn.uneven_clusters(churn.BLOCK, 4, 1), churn.uneven_clusters(churn.BLOCK + 10, 4, 1)
    np.testing.assert_array_equal(few, many[: churn.BLOCK])


def test_churn_is_half_updates_a_quarter_deletes_a_quarter_inserts() -> None:
    events = churn.churn(5000, 8000, 1)
    assert len(events) == 8000
    assert np.isclose((events.rows < 0).mean(), 0.25, atol=0.02)
    assert np.isclose(events.new.mean(), 0.25, atol=0.02)
    placed = events.rows[events.rows >= 0]
    np.testing.assert_array_equal(placed, np.arange(5000, 5000 + len(placed)))
    np.testing.assert_array_equal(events.slots, churn.churn(5000, 8000, 1).slots)


def test_batches_end_where_single_events_end() -> None:
    catalogue = churn.Catalogue(2)
    parts = [catalogue.arrive(50), catalogue.churn(3000)]
    ends = [state_after(parts, size) for size in (1, 7, 256)]
    assert ends[0] == ends[1] == ends[2]
    assert sorted(ends[0]) == sorted(catalogue.live.tolist())


def state_after(parts: list[churn.Events], size: int) -> dict[int, int]:
    """Row by slot; what goes must have lived, and a batch names a slot once."""
    state: dict[int, int] = {}
    for events in parts:
        for change in churn.batches(events, size):
            assert set(change.gone.tolist()) <= set(state)
            named = [*change.gone.tolist(), *change.placed.tolist()]
            assert len(named) == len(set(named)) <= change.events <= size
            for slot in change.gone.tolist():
                del state[slot]
            state.update(zip(change.placed.tolist(), change.rows.tolist(), strict=True))
    return state
