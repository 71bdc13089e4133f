"""The whole service as its users meet it: real broker, real Redis, a process that is killed and started again."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from confluent_kafka import Consumer, Producer

if TYPE_CHECKING:
    from conftest import Service


def test_a_day_in_the_shop(service: Service, reader: redis.Redis) -> None:
    service.start()
    with service.publisher() as shop:
        for product in service.products(300):
            shop.publish(product)
    service.applied(300)
    assert reader.get("kin:live") == "g1"
    assert len(reader.zrevrange("kin:g1:n:{p1}", 0, 9, withscores=True)) == 10
    assert json.loads(service.command("verify", "--json"))["recall"] >= 0.995
    with service.publisher() as shop:
        shop.delete("p7")
        shop.publish({**service.products(300)[8], "available": False})
        shop.publish({**service.products(300)[9], "price": 99})
        shop.publish({**service.products(300, seed=1)[10], "id": "p10"})
    service.applied(304)
    lists = service.lists(reader)
    named = {member for members in lists.values() for member, _ in members}
    assert "kin:g1:n:{p7}" not in lists
    assert not {"p7", "p8"} & named
    assert reader.hget("kin:g1:p:{p9}", "price") == "99"
    report = json.loads(service.command("verify", "--json"))
    assert (report["ghosts"], report["missing"], report["orphans"], report["checked"]) == (0, 0, 0, 299)
    assert json.loads(service.command("neighbours", "p1", "-k", "3", "--json"))["generation"] == "g1"
    assert "p7" in service.command("neighbours", "p7", code=1)
    assert service.end(signal.SIGTERM) == 0
    assert json.loads(service.command("verify", "--json"))["ghosts"] == 0
    assert service.get("/healthz")[0] == 0


def test_killed_at_any_moment_it_ends_in_the_same_lists(service: Service, reader: redis.Redis) -> None:
    service.environment["KINSTREAM_INDEX"] = "exact"
    service.environment["KINSTREAM_BATCH"] = "20"
    with service.publisher() as shop:
        for product in service.products(400):
            shop.publish(product)
    for moment in range(4):
        service.start()
        with service.publisher() as shop:
            for row, product in enumerate(service.products(400, seed=moment)[: 150 * moment : 2]):
                shop.publish(product) if row % 5 else shop.delete(product["id"])
        time.sleep(0.1 * moment)
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
    service.start()
    service.wait(lambda: service.metric("kinstream_consumer_lag{") == 0)
    survived = service.lists(reader)
    assert json.loads(service.command("verify", "--json"))["recall"] >= 0.999
    assert service.end(signal.SIGINT) == 0
    reader.flushall()
    service.start()
    assert service.lists(reader) == survived


def test_garbage_goes_to_the_dead_letter_topic_and_the_stream_goes_on(service: Service, reader: redis.Redis) -> None:
    service.start()
    good = service.products(20)
    garbage = {
        b"not json": "NotJson", b"\xff\xfe": "NotUtf8", b"[]": "UnknownFormat", b'{"id":"p1","title":NaN}': "NotJson",
        b'{"id":"p1","embedding":[1,2]}': "InvalidEmbedding", b'{"id":"other","title":"t"}': "KeyMismatch",
        b'{"id":"p1","title":"no vector"}': "NothingToEncode", b'{"id":"p1"}': "MissingTitle",
        b'{"id":"p1","title":"' + b"x" * 1024 * 1024 + b'"}': "TooLarge",
    }  # fmt: skip
    raw = Producer({"bootstrap.servers": service.environment["KINSTREAM_KAFKA"], "message.max.bytes": 4 * 1024 * 1024})
    with service.publisher() as shop:
        for product in good:
            shop.publish(product)
    for value in garbage:
        raw.produce(service.environment["KINSTREAM_TOPIC"], key=b"p1", value=value)
    assert raw.flush(20) == 0
    with service.publisher() as shop:
        shop.publish({**good[2], "price": 1234})
    service.applied(20 + len(garbage) + 1)
    assert reader.hget("kin:g1:p:{p1}", "title") == "product 1"
    assert reader.hget("kin:g1:p:{p2}", "price") == "1234"
    assert service.metric('kinstream_events_total{outcome="dead_letter"}') == len(garbage)
    letters = _dead_letters(service, len(garbage))
    assert {value: headers["kinstream.error.class"].decode() for value, headers in letters} == garbage


def test_it_waits_for_redis_and_goes_on(service: Service, reader: redis.Redis) -> None:
    service.start()
    reader.config_set("maxclients", 1)
    reader.client_kill_filter(_type="normal", skipme=True)
    with service.publisher() as shop:
        for product in service.products(30):
            shop.publish(product)
    service.wait(lambda: service.get("/readyz")[0] == 503)
    assert "redis" in service.get("/readyz")[1]
    assert service.get("/healthz")[0] == 200
    reader.config_set("maxclients", 1000)
    service.applied(30)
    assert len(service.lists(reader)) == 30


def test_a_stop_while_redis_is_away_is_a_clean_stop(service: Service) -> None:
    service.environment["KINSTREAM_REDIS"] = "redis://:geheim@127.0.0.1:1/0"
    service.launch()
    service.wait(lambda: service.get("/healthz")[0] == 200)
    assert service.end(signal.SIGTERM) == 0
    assert "127.0.0.1:1" in service.log.read_text()
    assert "geheim" not in service.log.read_text()


def test_publish_names_bad_lines_and_sends_the_rest(service: Service, reader: redis.Redis, tmp_path: Path) -> None:
    service.start()
    file = tmp_path / "shop.jsonl"
    lines = [json.dumps(product) for product in service.products(5)]
    file.write_text("\n".join([*lines[:2], "{broken", '{"id": "x"}', *lines[2:]]) + "\n")
    errors = service.command("publish", str(file), code=1)
    assert f"{file}:3" in errors
    assert f"{file}:4" in errors
    service.applied(5)
    assert len(service.lists(reader)) == 5


def test_without_servers_it_says_so_and_ends_with_3(service: Service) -> None:
    service.environment["KINSTREAM_KAFKA"] = "127.0.0.1:1"
    error = service.command("run", code=3)
    assert "127.0.0.1:1" in error
    assert "Traceback" not in error
    service.environment["KINSTREAM_DIM"] = "x"
    assert "KINSTREAM_DIM" in service.command("run", code=2)


def test_the_model_encodes_what_brings_no_vector(service: Service, reader: redis.Redis, bundle: Path) -> None:
    service.environment |= {"KINSTREAM_MODEL": str(bundle)}
    del service.environment["KINSTREAM_DIM"]
    service.start()
    titles = [
        "red running shoe",
        "blue running shoe",
        "garden hose 20 m",
        "garden hose 30 m",
        "usb cable",
        "hdmi cable",
    ]
    service.command("publish", "-", text="\n".join(json.dumps({"id": t, "title": t}) for t in titles))
    service.applied(len(titles))
    assert reader.zrevrange("kin:g1:n:{red running shoe}", 0, 0) == ["blue running shoe"]
    assert reader.zrevrange("kin:g1:n:{usb cable}", 0, 0) == ["hdmi cable"]
    found = json.loads(service.command("search", "something to water plants", "-k", "2", "--json"))
    assert {hit["id"] for hit in found["neighbours"]} == {"garden hose 20 m", "garden hose 30 m"}
    assert service.end(signal.SIGTERM) == 0
    again = json.loads(service.command("search", "something to water plants", "-k", "2", "--json"))
    assert [hit["id"] for hit in again["neighbours"]] == [hit["id"] for hit in found["neighbours"]]
    assert again["query"] == "something to water plants"


def _dead_letters(service: Service, wanted: int) -> list[tuple[bytes, dict[str, bytes]]]:
    consumer = Consumer(
        {
            "bootstrap.servers": service.environment["KINSTREAM_KAFKA"],
            "group.id": "letters",
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 4 * 1024 * 1024,
        }
    )
    consumer.subscribe([f"{service.environment['KINSTREAM_TOPIC']}.dlq"])
    found: list[tuple[bytes, dict[str, bytes]]] = []
    deadline = time.monotonic() + 30
    while len(found) < wanted and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            headers: Any = message.headers()
            found.append((message.value() or b"", dict(headers)))
    consumer.close()
    return found
