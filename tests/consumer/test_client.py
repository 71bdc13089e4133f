"""The commands' side of the HTTP: the running service first, then what a clean stop left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consumer import client, http
from consumer.client import (
    Answer,
    find_export,
    running_export,
    running_search,
    saved_export,
    search_export,
)
from consumer.config import Settings, load_settings
from consumer.errors import EncoderFailed, KinstreamError, ServerUnavailable
from consumer.reader import Neighbour
from consumer.types import Vectors


@pytest.fixture
def settings(server: http.HttpServer, tmp_path: Path) -> Settings:
    return load_settings(metrics_port=server.port, state=tmp_path, generation="g1")


def test_the_running_export_comes_first(settings: Settings, running: Any) -> None:
    notes: list[str] = []
    export = find_export(settings, notes.append)
    assert export.ids == ["a", "b", "ü"]
    assert np.array_equal(export.vectors, running.exported.vectors)
    assert export.generation == running.exported.generation
    assert notes == []


def test_a_service_of_another_generation_is_not_asked(settings: Settings) -> None:
    other = settings.model_copy(update={"generation": "g2"})
    assert running_export(other) is None
    assert running_search(other, "a", None, 1) is None


def test_nobody_listens(settings: Settings, server: http.HttpServer) -> None:
    server.close()
    assert running_export(settings) is None
    assert running_search(settings, "a", None, 1) is None
    assert running_export(settings.model_copy(update={"metrics_port": 0})) is None


def test_what_the_service_refuses_is_told(settings: Settings, running: Any) -> None:
    running.failure = EncoderFailed("there is no model")
    with pytest.raises(KinstreamError, match="there is no model"):
        running_search(settings, "a", None, 1)
    running.failure = ServerUnavailable("stopping")
    with pytest.raises(ServerUnavailable, match="stopping"):
        running_export(settings)


def test_a_search_in_the_running_service(settings: Settings, running: Any) -> None:
    answer = running_search(settings, "a", b"\x00\xff", 2)
    assert answer == Answer("g1", [Neighbour("a", 0.75), Neighbour("ü", 0.5)])
    assert running.asked == [("a", b"\x00\xff", 2)]


def test_the_snapshot_is_used_with_a_note_of_its_age(
    settings: Settings, running: Any, server: http.HttpServer, state: Any
) -> None:
    server.close()
    path = state(running.exported).save(settings.state, now=1000.0)
    notes: list[str] = []
    export = find_export(settings, notes.append, lambda: 1000.0 + 90 * 60)
    assert (export.ids, export.available.tolist()) == (["a", "b", "ü"], [True, False, True])
    assert np.array_equal(export.vectors, running.exported.vectors)
    assert export.generation == running.exported.generation
    assert notes == [f"the service does not run here: answering from {path}, 90 min old"]


def test_a_damaged_snapshot_is_told_and_the_one_before_it_used(settings: Settings, running: Any, state: Any) -> None:
    saved = state(running.exported)
    before, damaged = saved.save(settings.state, now=1000.0), saved.save(settings.state, now=2000.0)
    (damaged / "radius.npy").unlink()
    notes: list[str] = []
    assert saved_export(settings, notes.append).ids == ["a", "b", "ü"]
    assert notes[0] == f"{damaged} is not used: files are missing or too many: radius.npy"
    assert str(before) in notes[1]


def test_neither_service_nor_snapshot(settings: Settings) -> None:
    with pytest.raises(KinstreamError, match="KINSTREAM_STATE"):
        saved_export(settings, lambda text: None)


class OneVector:
    """An encoder that answers one vector to everything."""

    name, provider = "one", "none"

    def __init__(self, *vector: float) -> None:
        self._vector = np.array([vector], np.float32)
        self.dim = len(vector)

    def encode_query(self, text: str | None, image: bytes | None) -> Vectors:
        return self._vector

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"search must not need {name}")


def test_a_snapshot_is_searched_exactly_and_without_the_unavailable(running: Any) -> None:
    answer = search_export(running.exported, OneVector(0.1, 0.9, 0.2, 0.0), "a", None, 10)
    assert [near.id for near in answer.neighbours] == ["ü", "a"]
    assert [near.score for near in answer.neighbours] == pytest.approx([0.2, 0.1])
    assert len(search_export(running.exported, OneVector(1, 0, 0, 0), "a", None, 1).neighbours) == 1


def test_a_model_of_another_dimension_is_refused(running: Any) -> None:
    with pytest.raises(KinstreamError, match=r"has 4 dimensions .* has 2"):
        search_export(running.exported, OneVector(1, 0), "a", None, 1)


@pytest.mark.parametrize(
    ("host", "found"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("fd00::1", "[fd00::1]"), ("box", "box")],
)
def test_a_service_is_asked_where_it_listens(host: str, found: str) -> None:
    assert client._reachable(host) == found
