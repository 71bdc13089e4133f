"""The commands that look, as a shell sees them: standard output, standard error, exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from consumer import app as wiring
from consumer import export as export_format
from consumer import http, keys
from consumer.export import read_export
from consumer.types import Export, Vectors

Kinstream = Callable[..., Any]


class AlwaysA:
    """An encoder to which everything is like product a."""

    name, provider, dim = "one", "CPU", 2

    def encode_query(self, text: str | None, image: bytes | None) -> Vectors:
        return np.array([[1.0, 0.0]], np.float32)


def test_neighbours_for_people(kinstream: Kinstream, stored: redis.Redis) -> None:
    ended = kinstream("neighbours", "a")
    assert ended.code == 0
    assert "Nearest to [red]Title a[/red] (a), generation g1" in ended.out
    assert "[red]Title b[/red]" in ended.out
    assert "9.5 EUR" in ended.out
    assert ended.out.index("0.8000") < ended.out.index("0.0000")


def test_neighbours_for_machines(kinstream: Kinstream, stored: redis.Redis) -> None:
    assert json.loads(kinstream("neighbours", "b", "-k", "1", "--json").out) == {
        "id": "b",
        "generation": "g1",
        "neighbours": [{"id": "a", "score": 0.8}],
    }


def test_neighbours_of_an_unknown_product(kinstream: Kinstream, stored: redis.Redis) -> None:
    ended = kinstream("neighbours", "nope", "--json")
    assert (ended.code, ended.out) == (1, "")
    assert "'nope' is not in generation g1" in ended.err


def test_neighbours_before_anything_is_live(kinstream: Kinstream, stored: redis.Redis) -> None:
    stored.delete(keys.live_key())
    ended = kinstream("neighbours", "a")
    assert ended.code == 1
    assert "kinstream run" in ended.err


def test_search_in_the_snapshot(
    kinstream: Kinstream,
    stored: redis.Redis,
    export: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: Any,
) -> None:
    state(export).save(tmp_path)
    monkeypatch.setattr(wiring, "build_encoder", lambda settings: AlwaysA())
    ended = kinstream("search", "boots", "-k", "2", "--json")
    assert ended.code == 0
    answer = json.loads(ended.out)
    assert (answer["query"], answer["generation"]) == ("boots", "g1")
    assert [(near["id"], round(near["score"], 6)) for near in answer["neighbours"]] == [("a", 1.0), ("b", 0.8)]
    assert "snapshots" in ended.err
    assert "[red]Title b[/red]" in kinstream("search", "boots").out


def test_search_without_redis_has_no_titles(
    kinstream: Kinstream, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed_port: int, state: Any
) -> None:
    state(export).save(tmp_path)
    monkeypatch.setattr(wiring, "build_encoder", lambda settings: AlwaysA())
    ended = kinstream("search", "boots", "--redis", f"redis://127.0.0.1:{closed_port}")
    assert ended.code == 0
    assert "1.0000" in ended.out
    assert "no titles" in ended.err


def test_search_by_image_in_the_running_service(
    kinstream: Kinstream, running: Any, server: http.HttpServer, tmp_path: Path
) -> None:
    image = tmp_path / "boots.jpg"
    image.write_bytes(b"\xff\xd8")
    ended = kinstream("search", "--image", str(image), "--json", "--metrics-port", str(server.port))
    answer = json.loads(ended.out)
    assert (answer["query"], answer["neighbours"][0]) == (str(image), {"id": "a", "score": 0.75})
    assert running.asked == [(None, b"\xff\xd8", 10)]


def test_search_with_nothing_to_search(kinstream: Kinstream) -> None:
    ended = kinstream("search", "boots")
    assert ended.code == 1
    assert "KINSTREAM_STATE" in ended.err


def test_dump_writes_the_whole_file(kinstream: Kinstream, export: Export, tmp_path: Path, state: Any) -> None:
    state(export).save(tmp_path)
    target = tmp_path / "out.npz"
    target.write_bytes(b"an older file")
    assert kinstream("dump", str(target)).code == 0
    with np.load(target, allow_pickle=False) as arrays:
        assert set(arrays.files) == {"ids", "vectors", "available", "manifest"}
    read = read_export(target)
    assert (read.ids, read.generation) == (export.ids, export.generation)
    assert np.array_equal(read.vectors, export.vectors)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g1", "out.npz"]


def test_a_dump_that_fails_leaves_the_old_file(
    kinstream: Kinstream, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Any
) -> None:
    state(export).save(tmp_path)
    target = tmp_path / "out.npz"
    target.write_bytes(b"an older file")

    def full(file: Any, export: Export) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_format, "write_export", full)
    ended = kinstream("dump", str(target))
    assert ended.code == 1
    assert "No space left on device" in ended.err
    assert target.read_bytes() == b"an older file"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g1", "out.npz"]


def test_dump_into_a_folder_that_is_not_there(kinstream: Kinstream, export: Export, tmp_path: Path, state: Any) -> None:
    state(export).save(tmp_path)
    ended = kinstream("dump", str(tmp_path / "no" / "out.npz"))
    assert ended.code == 1
    assert "writable folder" in ended.err


def test_verify_right_lists(
    kinstream: Kinstream, stored: redis.Redis, export: Export, tmp_path: Path, state: Any
) -> None:
    state(export).save(tmp_path)
    ended = kinstream("verify", "--json")
    result = json.loads(ended.out)
    assert ended.code == 0
    assert result.pop("score_error") < 1e-6
    assert result == {"recall": 1.0, "ghosts": 0, "missing": 0, "orphans": 0, "checked": 4}
    assert json.loads(kinstream("verify", "--sample", "2", "--json").out)["checked"] == 2
    assert "Generation g1 is right" in kinstream("verify").out


def test_verify_finds_ghosts_orphans_and_lost_members(
    kinstream: Kinstream, stored: redis.Redis, export: Export, tmp_path: Path, state: Any
) -> None:
    state(export).save(tmp_path)
    stored.zrem(keys.list_key("g1", "a"), "b")
    stored.zadd(keys.list_key("g1", "a"), {"off": 0.6})
    stored.hset(keys.card_key("g1", "old"), "title", "Old")
    stored.delete(keys.card_key("g1", "c"))
    ended = kinstream("verify", "--json")
    result = json.loads(ended.out)
    assert ended.code == 1
    assert (result["ghosts"], result["orphans"], result["missing"]) == (1, 1, 1)
    assert result["recall"] == pytest.approx(7 / 8)
    assert "the list of a names off, which is unavailable" in kinstream("verify").err


def test_generations_and_promote(kinstream: Kinstream, stored: redis.Redis) -> None:
    listed = json.loads(kinstream("generations", "--json").out)
    assert listed["live"] == "g1"
    assert [(each["name"], each["state"], each["created_at"]) for each in listed["generations"]] == [
        ("g1", "live", 1.0),
        ("g2", "ready", 2.0),
    ]
    promoted = kinstream("promote", "g2")
    assert promoted.code == 0
    assert "undo: kinstream promote g1" in promoted.err
    assert stored.get(keys.live_key()) == "g2"
    assert "retired" in kinstream("generations").out
    unknown = kinstream("promote", "g9")
    assert unknown.code == 1
    assert "'g9' is unknown" in unknown.err
