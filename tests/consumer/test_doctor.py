"""What ``doctor`` finds, on real servers, without servers, and on made-up facts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from consumer.commands import check_kafka, check_machine, check_redis, findings
from consumer.commands.findings import State
from consumer.config import load_settings
from consumer.types import Export
from producer.topics import DEAD_LETTERS, PRODUCTS, ensure_topics

Kinstream = Callable[..., Any]


def test_doctor_finds_nothing_wrong(
    kinstream: Kinstream, stored: redis.Redis, kafka: str, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics({"bootstrap.servers": kafka}, {topic: PRODUCTS, f"{topic}.dlq": DEAD_LETTERS})
    ended = kinstream("doctor", "--kafka", kafka, "--topic", topic, "--dim", "2")
    assert "FAILED" not in ended.out
    assert "UNREACHABLE" not in ended.out
    assert ended.code == 0
    assert f"topic {topic}.dlq" in ended.out


def test_doctor_names_missing_and_uncompacted_topics(
    kinstream: Kinstream, stored: redis.Redis, kafka: str, topic: str
) -> None:
    ensure_topics({"bootstrap.servers": kafka}, {topic: {"cleanup.policy": "delete", "max.message.bytes": "1000"}})
    found = {each.check: each for each in check_kafka.check_kafka(load_settings(kafka=kafka, topic=topic))}
    assert found["Kafka"].state is State.GOOD
    assert found[f"topic {topic} cleanup.policy"].state is State.FAILED
    assert found[f"topic {topic} max.message.bytes"].state is State.WARNING
    assert found[f"topic {topic}.dlq"].state is State.FAILED
    assert kinstream("doctor", "--kafka", kafka, "--topic", topic, "--dim", "2").code == 1


def test_doctor_without_servers(kinstream: Kinstream, closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_kafka, "TIMEOUT", 0.5)
    server = f"redis://:secret@127.0.0.1:{closed_port}"
    ended = kinstream("doctor", "--kafka", f"127.0.0.1:{closed_port}", "--redis", server, "--dim", "2")
    assert ended.code == 3
    assert ended.out.count("UNREACHABLE") == 2
    assert "secret" not in ended.out + ended.err


def test_doctor_reads_the_file_of_kafka_settings(tmp_path: Path) -> None:
    (found,) = check_kafka.check_kafka(load_settings(kafka_config=tmp_path / "none"))
    assert found.state is State.FAILED
    assert str(tmp_path / "none") in found.detail


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (check_kafka.compaction("products", "compact"), State.GOOD),
        (check_kafka.compaction("products", "compact,delete"), State.FAILED),
        (check_kafka.message_size("products", 1024 * 1024), State.WARNING),
        (check_kafka.message_size("products", 16 * 1024 * 1024), State.GOOD),
        (check_redis.version("here", "7.0.15"), State.GOOD),
        (check_redis.version("here", "5.0.7"), State.WARNING),
        (check_redis.eviction("noeviction"), State.GOOD),
        (check_redis.eviction("allkeys-lru"), State.FAILED),
        (check_redis.persistence({"aof_enabled": 1}), State.GOOD),
        (check_redis.persistence({"aof_enabled": 0}), State.WARNING),
        (check_redis.live("g1"), State.GOOD),
        (check_redis.live(None), State.WARNING),
        (check_machine.runtimes(["onnxruntime"]), State.GOOD),
        (check_machine.runtimes(["onnxruntime", "onnxruntime-gpu"]), State.FAILED),
        (check_machine.runtimes([]), State.FAILED),
        (check_machine.free_space(10**6), State.FAILED),
        (check_machine.free_space(5 * 10**8), State.WARNING),
        (check_machine.free_space(10**10), State.GOOD),
        (check_machine.model(load_settings(dim=3)), State.GOOD),
        (check_machine.model(load_settings()), State.FAILED),
        (check_machine.model(load_settings(model="/no/such/bundle")), State.FAILED),
    ],
)
def test_each_fault_has_a_remedy(found: findings.Finding, state: State) -> None:
    assert found.state is state
    assert bool(found.remedy) is (state is not State.GOOD)
    assert found.detail


def test_the_state_folder_may_still_have_to_be_made(tmp_path: Path) -> None:
    folder, _ = check_machine.state_folder(tmp_path / "new" / "state")
    assert folder.state is State.GOOD
    assert "will be made" in folder.detail
    (tmp_path / "file").write_text("")
    assert check_machine.state_folder(tmp_path / "file")[0].state is State.FAILED
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_the_newest_snapshot_is_checked(state: Any, export: Export, tmp_path: Path) -> None:
    settings = load_settings(state=tmp_path)
    assert check_machine.newest_snapshot(settings).detail == "none yet"
    saved = state(export)
    saved.save(tmp_path, now=1000.0)
    found = check_machine.newest_snapshot(settings, now=1000.0 + 180)
    assert (found.state, found.detail) == (State.GOOD, "3 min old, 0.0 MiB")
    damaged = saved.save(tmp_path, now=2000.0)
    (damaged / "manifest.json").unlink()
    found = check_machine.newest_snapshot(settings)
    assert found.state is State.WARNING
    assert str(damaged) in found.detail


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([State.GOOD, State.WARNING], 0),
        ([State.GOOD, State.FAILED], 1),
        ([State.FAILED, State.UNREACHABLE], 3),
    ],
)
def test_what_doctor_ends_with(states: list[State], code: int) -> None:
    assert findings.exit_code_of([findings.Finding("x", state, "y") for state in states]) == code
