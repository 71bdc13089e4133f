"""Killed, restarted, doubled, robbed of its topic or its store: the service ends in the lists of a fresh build."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from confluent_kafka import Consumer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # not in its __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from producer.topics import PRODUCTS, ensure_topics

if TYPE_CHECKING:
    from conftest import Service

DYING = Path(__file__).with_name("dying.py")
MEASURED_SECONDS = 2.0
STEPS = ("applied", "letters", "published", "committed", "snapshot")


def change(service: Service, seed: int) -> None:
    """Edits, deletes, flips, prices, and garbage."""
    with service.publisher() as shop:
        for row, product in enumerate(service.products(60, seed)):
            if row % 6 == 0:
                shop.delete(product["id"])
            elif row % 6 == 1:
                shop.publish({**product, "available": False})
            elif row % 6 < 4:
                shop.publish({**product, "price": seed * 100 + row})


def settle(service: Service) -> None:
    """Wait until nothing is left to do, for longer than the service takes to measure that anew."""
    since = time.monotonic()

    def quiet() -> bool:
        nonlocal since
        if any(service.metric(name) for name in ("kinstream_consumer_lag{", "kinstream_republish_pending_products")):
            since = time.monotonic()
        return time.monotonic() - since > MEASURED_SECONDS

    service.wait(quiet)


def verified(service: Service) -> None:
    report = json.loads(service.command("verify", "--json"))
    assert (report["ghosts"], report["missing"], report["orphans"]) == (0, 0, 0)
    assert report["recall"] >= 0.999


def same_as_fresh(service: Service, reader: redis.Redis) -> None:
    """The lists in Redis are those that another generation builds from the topic."""
    lists = service.lists(reader)
    assert service.end(signal.SIGTERM) == 0
    service.environment |= {
        "KINSTREAM_GENERATION": "fresh",
        "KINSTREAM_GROUP": f"{service.environment['KINSTREAM_GROUP']}-f",
    }
    service.start()
    fresh = service.lists(reader)
    assert {key.replace("kin:g1:", "kin:fresh:"): members for key, members in lists.items()} == fresh


@pytest.fixture
def filled(service: Service) -> Service:
    """A service on the exact index, ready, with 120 products and a snapshot in the state folder."""
    service.environment |= {"KINSTREAM_INDEX": "exact", "KINSTREAM_BATCH": "16", "KINSTREAM_SNAPSHOT_SECONDS": "0.2"}
    service.start()
    with service.publisher() as shop:
        for product in service.products(120):
            shop.publish(product)
    service.applied(120)
    service.wait(lambda: bool(service.logged("snapshot")))
    return service


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_any_step_of_a_commit(filled: Service, reader: redis.Redis, step: str) -> None:
    assert filled.end(signal.SIGTERM) == 0
    with filled.log.open("ab") as log:
        filled.process = subprocess.Popen(
            [sys.executable, str(DYING), step], env=filled.environment, stdout=log, stderr=log
        )
    deadline, seed = time.monotonic() + 60, 1
    while filled.process.poll() is None and time.monotonic() < deadline:
        change(filled, seed)
        seed += 1
    assert filled.process.wait(1) == -signal.SIGKILL
    change(filled, seed)
    filled.start()
    assert filled.logged("reading the topic")[-1]["way"] == "continue"
    settle(filled)
    verified(filled)
    same_as_fresh(filled, reader)


def test_a_start_goes_on_from_the_newest_sound_snapshot(filled: Service, reader: redis.Redis) -> None:
    assert filled.end(signal.SIGTERM) == 0
    filled.start()
    change(filled, seed=1)
    settle(filled)
    assert filled.end(signal.SIGTERM) == 0
    newest = sorted(Path(filled.environment["KINSTREAM_STATE"]).glob("g1/snapshots/*"))[-1]
    vectors = max(newest.iterdir(), key=lambda file: file.stat().st_size)
    damaged = bytearray(vectors.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    vectors.write_bytes(damaged)
    filled.start()
    (skipped,) = filled.logged("snapshot not used")
    assert skipped["path"] == str(newest)
    restored = filled.logged("restored")[-1]
    assert restored["snapshot"] < str(newest)
    assert filled.logged("caught up")[-1]["events"] <= 40
    settle(filled)
    verified(filled)
    same_as_fresh(filled, reader)


def remade(service: Service, drop: int) -> None:
    """The topic is deleted and made again with all products but the last few, at lower versions."""
    topic = service.environment["KINSTREAM_TOPIC"]
    config = {"bootstrap.servers": service.environment["KINSTREAM_KAFKA"]}
    admin = AdminClient(config)
    admin.delete_topics([topic])[topic].result(20)
    service.wait(lambda: topic not in admin.list_topics(timeout=10).topics)
    ensure_topics(config, {topic: PRODUCTS})
    with service.publisher() as shop:
        for product in service.products(120)[:-drop]:
            shop.publish({**product, "price": 1, "version": 1})


def old_snapshot(service: Service) -> None:
    """Tombstones are kept for a moment only, and then a product goes."""
    admin = AdminClient({"bootstrap.servers": service.environment["KINSTREAM_KAFKA"]})
    entry = ConfigEntry("delete.retention.ms", "0", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, service.environment["KINSTREAM_TOPIC"], incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(20)
    with service.publisher() as shop:
        shop.delete("p119")


Spoil = Callable[["Service"], None]
WAYS: dict[str, tuple[Spoil, list[str], str, int]] = {
    "asked for": (lambda service: None, ["--bootstrap"], "sweep", 120),
    "topic made again": (lambda service: remade(service, drop=5), [], "sweep", 115),
    "older than tombstones are kept": (old_snapshot, [], "sweep", 119),
    "other slack": (lambda service: service.environment.update(KINSTREAM_SLACK="7"), [], "rebuild", 120),
    "other facts": (lambda service: service.environment.update(KINSTREAM_FACT_ATTRIBUTES="promo"), [], "rebuild", 120),
}


@pytest.mark.parametrize("why", WAYS)
def test_a_start_that_cannot_just_go_on(filled: Service, reader: redis.Redis, why: str) -> None:
    spoil, options, way, products = WAYS[why]
    assert filled.end(signal.SIGTERM) == 0
    spoil(filled)
    filled.start(*options)
    assert filled.logged("reading the topic")[-1]["way"] == way
    assert len(filled.lists(reader)) == products
    settle(filled)
    verified(filled)


def test_a_topic_that_is_made_again_under_a_running_service(filled: Service, reader: redis.Redis) -> None:
    remade(filled, drop=30)
    filled.wait(lambda: len(filled.lists(reader)) == 90, 120)
    settle(filled)
    verified(filled)
    assert reader.hget("kin:g1:p:{p3}", "version") == "1"
    assert filled.logged("starting again") != []


def test_another_model_under_the_same_name_of_generation_is_refused(filled: Service) -> None:
    assert filled.end(signal.SIGTERM) == 0
    filled.environment["KINSTREAM_DIM"] = "7"
    error = filled.command("run", code=1)
    assert "dim 16" in error
    assert "7" in error


def test_a_second_service_takes_over_and_the_first_cannot_write_any_more(
    filled: Service, reader: redis.Redis, other_port: int, tmp_path: Path
) -> None:
    second = type(filled)({**filled.environment, "KINSTREAM_STATE": str(tmp_path / "other")}, tmp_path / "second.log")
    second.environment["KINSTREAM_METRICS_PORT"] = str(other_port)
    second.start()
    try:
        assert second.metric("kinstream_leader") == 0
        assert filled.process is not None
        filled.process.send_signal(signal.SIGSTOP)
        change(filled, seed=1)
        second.wait(lambda: second.metric("kinstream_leader") == 1, 20)
        settle(second)
        filled.process.send_signal(signal.SIGCONT)
        change(filled, seed=2)
        second.wait(lambda: filled.metric("kinstream_leader") == 0)
        settle(second)
        lists = second.lists(reader)
        filled.wait(lambda: filled.metric("kinstream_events_total{") >= 120)
        assert second.lists(reader) == lists
        verified(second)
        assert filled.end(signal.SIGTERM) == 0
        assert second.end(signal.SIGKILL) == -signal.SIGKILL
    finally:
        if second.process is not None and second.process.poll() is None:
            second.process.kill()
            second.process.wait()
    filled.start()
    settle(filled)
    same_as_fresh(filled, reader)


def test_what_redis_forgot_is_written_again(filled: Service, reader: redis.Redis) -> None:
    before, card = filled.lists(reader), reader.hget("kin:g1:p:{p3}", "title")
    reader.flushall()
    filled.wait(lambda: filled.lists(reader) == before)
    settle(filled)
    filled.wait(lambda: reader.get("kin:live") == "g1")
    assert reader.hget("kin:g1:p:{p3}", "title") == card
    filled.wait(lambda: filled.metric("kinstream_store_losses_total") == 1)
    verified(filled)


def test_a_state_folder_that_cannot_be_written_to_does_not_stop_the_stream(filled: Service, tmp_path: Path) -> None:
    state = Path(filled.environment["KINSTREAM_STATE"])
    state.rename(tmp_path / "moved")
    state.write_text("a file in its place")
    change(filled, seed=1)
    filled.wait(lambda: filled.metric("kinstream_snapshot_failures_total") > 0)
    settle(filled)
    verified(filled)
    assert filled.end(signal.SIGKILL) == -signal.SIGKILL
    filled.start()
    assert (
        "cannot be written to" in filled.logged("no snapshot can be written; the service goes on without")[0]["reason"]
    )
    state.unlink()
    change(filled, seed=2)
    filled.wait(lambda: any(state.glob("g1/snapshots/*")))
    assert filled.end(signal.SIGTERM) == 0


def test_a_stranger_in_the_group_does_not_hold_up_the_stream(filled: Service, reader: redis.Redis) -> None:
    """The service assigns itself all partitions; a subscriber of the same group makes the brokers refuse its commits."""
    settings: dict[str, Any] = {
        "bootstrap.servers": filled.environment["KINSTREAM_KAFKA"],
        "group.id": filled.environment["KINSTREAM_GROUP"],
        "enable.auto.commit": False,
    }
    stranger = Consumer(settings)
    stranger.subscribe([filled.environment["KINSTREAM_TOPIC"]])
    deadline = time.monotonic() + 30
    while not stranger.assignment() and time.monotonic() < deadline:
        stranger.poll(0.2)
    assert stranger.assignment()
    change(filled, seed=1)
    filled.wait(lambda: reader.hget("kin:g1:p:{p2}", "price") == "102")
    stranger.close()
    settle(filled)
    verified(filled)


def test_a_dead_letter_topic_that_is_gone_is_made_again(filled: Service, reader: redis.Redis) -> None:
    topic = f"{filled.environment['KINSTREAM_TOPIC']}.dlq"
    admin = AdminClient({"bootstrap.servers": filled.environment["KINSTREAM_KAFKA"]})
    admin.delete_topics([topic])[topic].result(20)
    filled.wait(lambda: topic not in admin.list_topics(timeout=10).topics)
    done = filled.command("publish", "-", text='{"id": "bad", "title": "no vector"}')
    assert done is not None
    with filled.publisher() as shop:
        shop.publish({**filled.products(120)[3], "price": 77})
    filled.wait(lambda: reader.hget("kin:g1:p:{p3}", "price") == "77")
    assert topic in admin.list_topics(timeout=10).topics
    assert filled.metric('kinstream_events_total{outcome="dead_letter"}') == 1


def test_the_state_is_that_of_the_newest_stop(filled: Service) -> None:
    change(filled, seed=3)
    settle(filled)
    assert filled.end(signal.SIGTERM) == 0
    names = os.listdir(Path(filled.environment["KINSTREAM_STATE"]) / "g1" / "snapshots")
    assert 1 <= len(names) <= 2
    verified(filled)
