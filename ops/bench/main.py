"""The main path against its limits, in one run on one machine: `make bench-main`.

* pipeline_vs_encoder: products a second through Kafka, encoder, index and Redis / through the bare encoder, same batches.
* facts_vs_bare: price changes a second through the service / through a bare consume + JSON decode loop, same records.
* fresh_p50_ms, fresh_p99_ms: Kafka timestamp to readable in Redis, 20 new products a second on 10,000.
* bytes_per_product: what the service's resident memory grows by a product, less vector and share of the HNSW index (384-d).
* recall: of all lists at the end, against the exact answer.

The last line is one JSON object.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import redis
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from products import ROOT, Product, real_products, with_vectors
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(ROOT / "ops" / "local"))
from shop import Shop

from model.runtime import OnnxEncoder
from producer.events import product_from
from producer.publisher import Publisher

MODEL = ROOT / ".local" / "models" / "default"
CATALOGUE, STREAMED, FRESH, RATE = 10_000, 2048, 600, 20
FACTS = 100_000
FIRST_VECTORS, VECTORS, DIM = 10_000, 40_000, 384
BATCH = 256
IDLE_SECONDS = 15
"""After so long without events the service has given freed memory back."""
HNSW_BYTES = DIM * 4 + (2 * 16 + 1) * 4 + 8
"""Of one product in hnswlib: its vector, the links of the bottom level (M = 16), its label."""

console = Console(width=None if sys.stdout.isatty() else 110)


def main() -> None:
    """Measure everything, print a table, and the JSON."""
    folder = Path(tempfile.mkdtemp(prefix="kinstream-bench-"))
    shop = Shop(folder, model=str(MODEL), batch=str(BATCH))
    try:
        shop.start_servers("kafka", "redis")
        figures = _measure_stream(shop) | _measure_memory(shop)
    finally:
        shop.stop(keep=False)
        shutil.rmtree(folder, ignore_errors=True)
    table = Table("figure", "value", title="main path", title_justify="left")
    for name, value in figures.items():
        table.add_row(name, f"{value:g}")
    console.print(table)
    print(json.dumps(figures))


def _measure_stream(shop: Shop) -> dict[str, float]:
    products = real_products(CATALOGUE + STREAMED + FRESH)
    base, streamed, fresh = products[:CATALOGUE], products[CATALOGUE:-FRESH], products[-FRESH:]
    _say(f"{len(base)} products are embedded, which takes a minute or two …")
    shop.start_service()
    _publish(shop, base)
    _settle(shop, len(base))
    freshness = _freshness(shop, fresh)
    pipeline, encoder = _pipeline_rate(shop, streamed), _encoder_rate(streamed)
    _say(f"products/s: {pipeline:.0f} through the pipeline, {encoder:.0f} through the bare encoder")
    facts, bare = _facts_rate(shop, base), _bare_rate(shop)
    _say(f"events/s: {facts:.0f} price changes applied, {bare:.0f} consumed and decoded only")
    verified = json.loads(shop.command("verify", "--json", check=False).stdout)
    shop.stop_service()
    return {
        "pipeline_vs_encoder": round(pipeline / encoder, 3),
        "facts_vs_bare": round(facts / bare, 3),
        "fresh_p50_ms": round(float(np.percentile(freshness, 50)) * 1000, 1),
        "fresh_p99_ms": round(float(np.percentile(freshness, 99)) * 1000, 1),
        "recall": verified["recall"],
    }


def _measure_memory(shop: Shop) -> dict[str, float]:
    """A second generation whose events bring their vectors, so that nothing of the encoder is in the figure."""
    _say(f"memory of {VECTORS} products …")
    shop.set(model="none", dim=str(DIM), topic="vectors", generation="memory", group="memory")
    shop.start_service()
    held = []
    for products in (FIRST_VECTORS, VECTORS):
        _publish(shop, with_vectors(products, DIM))
        _settle(shop, FIRST_VECTORS if products == FIRST_VECTORS else FIRST_VECTORS + VECTORS)
        time.sleep(IDLE_SECONDS)
        held.append(shop.resident_bytes())
    shop.stop_service()
    return {"bytes_per_product": round((held[1] - held[0]) / (VECTORS - FIRST_VECTORS) - DIM * 4 - HNSW_BYTES)}


def _freshness(shop: Shop, products: list[Product]) -> list[float]:
    """Age in seconds of each new product when it became readable; the clock is this machine's on both ends."""
    _say(f"{len(products)} new products, {RATE} a second …")
    sent: dict[str, float] = {}
    applied = _events(shop)
    with _publisher(shop) as publisher:
        started = time.monotonic()
        for number, product in enumerate(products):
            time.sleep(max(0.0, started + number / RATE - time.monotonic()))
            sent[product["id"]] = time.time()
            publisher.publish(product)
            publisher.flush()
    _settle(shop, applied + len(products))
    writing = _publish_seconds(shop)
    return [seen + writing - at for seen, at in zip(_seen_at(shop, sent), sent.values(), strict=True)]


def _publish_seconds(shop: Shop) -> float:
    """Mean time of a write to Redis: ``seen_at`` is taken right before it."""
    (total,) = [value for labels, value in shop.samples("kinstream_stage_seconds_sum") if labels["stage"] == "publish"]
    (number,) = [
        value for labels, value in shop.samples("kinstream_stage_seconds_count") if labels["stage"] == "publish"
    ]
    return total / number


def _pipeline_rate(shop: Shop, products: list[Product]) -> float:
    """Products a second from the moment that the service may read them until the last list is readable."""
    return _applied_rate(shop, products, len(products))


def _encoder_rate(products: list[Product]) -> float:
    encoder = OnnxEncoder.load(MODEL, "cpu")
    typed = [product_from(product, None) for product in products]
    encoder.encode(typed[:BATCH])
    started = time.perf_counter()
    for start in range(0, len(typed), BATCH):
        encoder.encode(typed[start : start + BATCH])
    return len(typed) / (time.perf_counter() - started)


def _facts_rate(shop: Shop, products: list[Product]) -> float:
    changes = ({**products[n % len(products)], "price": 1 + n / 100, "currency": "EUR"} for n in range(FACTS))
    return _applied_rate(shop, changes, FACTS)


def _applied_rate(shop: Shop, products: Iterable[Product], events: int) -> float:
    """The service is stopped in its tracks while the events are sent, so that sending costs it nothing."""
    already, ids = _events(shop), set[str]()
    shop.signal_service(signal.SIGSTOP)
    with _publisher(shop) as publisher:
        for product in products:
            publisher.publish(product)
            ids.add(product["id"])
    started = time.time()
    shop.signal_service(signal.SIGCONT)
    shop.wait(lambda: _events(shop) >= already + events, 600, pause=1.0)
    return events / (max(_seen_at(shop, ids)) - started)


def _seen_at(shop: Shop, ids: Iterable[str]) -> list[float]:
    """When each product's state became readable, Unix seconds."""
    with redis.Redis.from_url(shop.settings["KINSTREAM_REDIS"]) as client:
        seen = [client.hget(f"kin:g1:p:{{{id}}}", "seen_at") for id in ids]
    if None in seen:
        raise RuntimeError(f"{seen.count(None)} cards are missing")
    return [float(text) for text in seen]


def _bare_rate(shop: Shop) -> float:
    """Consume the same records and decode their JSON with the standard library, the best of three."""
    return max(_consume(shop, run) for run in range(3))


def _consume(shop: Shop, run: int) -> float:
    """All records of the topic, from the moment that the first arrives."""
    consumer = Consumer({"bootstrap.servers": shop.settings["KINSTREAM_KAFKA"], "group.id": f"bare{run}"})
    partitions = consumer.list_topics("products", timeout=10).topics["products"].partitions
    consumer.assign([TopicPartition("products", number, OFFSET_BEGINNING) for number in partitions])
    read, total = len(consumer.consume(1, 10)), _events(shop)
    started = time.perf_counter()
    while read < total:
        for message in consumer.consume(BATCH, 1.0):
            json.loads(message.value())
            read += 1
    rate = total / (time.perf_counter() - started)
    consumer.close()
    return rate


def _publish(shop: Shop, products: Iterable[Product]) -> None:
    with _publisher(shop) as publisher:
        for product in products:
            publisher.publish(product)


def _publisher(shop: Shop) -> Publisher:
    return Publisher(shop.settings["KINSTREAM_KAFKA"], shop.settings.get("KINSTREAM_TOPIC", "products"))


def _events(shop: Shop) -> int:
    return sum(shop.outcomes().values())


def _settle(shop: Shop, events: int) -> None:
    shop.wait(lambda: _events(shop) >= events, 900)
    shop.wait(lambda: {value for _, value in shop.samples("kinstream_consumer_lag")} == {0.0}, 60)


def _say(text: str) -> Any:
    console.print(text, highlight=False)


if __name__ == "__main__":
    main()
