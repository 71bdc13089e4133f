"""Everything that a fault may hit: broker, Redis, the network to both, the service, and the shop that goes on selling."""

from __future__ import annotations

import json
import random
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from assortment import Assortment
from broker import Broker
from ledger import Ledger
from load import Load
from processes import free_port
from proxy import Proxy
from redis_server import RedisServer
from service import ROOT, Service

TOPIC, GENERATION, GROUP = "products", "g1", "chaos"
PARTITIONS = 4
DIM, K = 32, 10
POLL_SECONDS = 0.05


class World:
    """A whole installation under one folder.

    Attributes:
        main: the service that leads when nothing is broken.
        redis: the server that the service writes to and readers read.
        dumps: older states of Redis that were saved on the way.
        recoveries: seconds that each wait for recovery took, since ``forget``.
    """

    def __init__(self, folder: Path, seed: int, rate: float, snapshot_seconds: float) -> None:
        """Make everything, start nothing. ``rate`` is the shop's, in events a second."""
        self.folder = folder
        self.random = random.Random(seed)
        self._began = time.monotonic()
        outer = free_port()
        self.broker = Broker(folder / "kafka", ROOT / ".local", outer)
        self.redis = self.new_redis()
        self.kafka_net = Proxy(outer, self.broker.inner)
        self.redis_net = Proxy(free_port(), self.redis.port)
        self.ledger = Ledger()
        self._load_seed, self._rate = seed, rate
        self._settings = {"snapshot_seconds": f"{snapshot_seconds:g}"}
        self.main = self.new_service(GENERATION)
        self.services = [self.main]
        self.dumps: list[Path] = []
        self.recoveries: list[float] = []
        self.restarts = 0
        self.load: Load
        self._closing = ExitStack()

    def open(self, products: int) -> None:
        """Start everything, and sell so many products."""
        for proxy in (self.kafka_net, self.redis_net):
            proxy.start()
            self._closing.callback(proxy.close)
        self._closing.callback(self._stop_servers)
        self.redis.start()
        self.broker.start()
        self.broker.make_topic(TOPIC, PARTITIONS)
        self._closing.callback(self._stop_services)
        drawn, sentinels = Assortment(self._load_seed, DIM), Assortment(self._load_seed + 1, DIM)
        self.load = Load(self.broker.address, TOPIC, self.ledger, drawn, sentinels, self._rate)
        self.load.start()
        self._closing.callback(self.load.end)
        self.load.stock(products)
        self.load.pause()
        self.main.start()
        self.load.resume()

    def close(self) -> None:
        """Stop everything that was started."""
        self._closing.close()

    @property
    def reader(self) -> redis.Redis:
        """Reads what readers read, past the proxy."""
        return self.redis.client

    def note(self, what: str, **more: Any) -> None:
        """A line of the timeline."""
        with (self.folder / "timeline.jsonl").open("a") as file:
            file.write(json.dumps({"s": round(time.monotonic() - self._began, 3), "what": what, **more}) + "\n")

    def new_redis(self) -> RedisServer:
        """Another Redis, not started."""
        return RedisServer(self.folder / f"redis-{time.monotonic_ns()}")

    def new_service(self, generation: str, **other: str) -> Service:
        """Another service with a state folder of its own, not started; a generation has a group of its own."""
        settings = self._settings | {
            "kafka": f"127.0.0.1:{self.kafka_net.port}", "redis": f"redis://127.0.0.1:{self.redis_net.port}/0",
            "topic": TOPIC, "group": f"{GROUP}-{generation}", "generation": generation,
            "model": "none", "dim": str(DIM), "k": str(K),
        } | other  # fmt: skip
        name = f"service-{generation}-{len(list(self.folder.glob('service-*')))}"
        return Service(name, self.folder / name, settings)

    def standby(self) -> Service:
        """A second service of the same generation, started and ready to take over."""
        second = self.new_service(GENERATION)
        self.services.append(second)
        second.start()
        self.note("standby is ready")
        return second

    def only(self, service: Service) -> None:
        """From now on this one runs alone."""
        for other in self.services:
            if other is not service:
                other.stop()
        self.main, self.services = service, [service]

    def swap_redis(self, other: RedisServer) -> None:
        """From now on this one is the Redis that everybody uses."""
        self.redis.client.close()
        self.redis = other
        self.redis_net.target = other.port
        self.redis_net.reset()

    def hold(self, shortest: float, longest: float) -> None:
        """Let time pass, so many seconds drawn between the two, with the supervisor at work."""
        until = time.monotonic() + self.random.uniform(shortest, longest)
        while time.monotonic() < until:
            self.tend()
            time.sleep(min(POLL_SECONDS, max(0.0, until - time.monotonic())))

    def tend(self) -> None:
        """What a supervisor does: start again what ended by itself."""
        for service in self.services:
            before = len(service.ended)
            service.tend()
            if len(service.ended) > before:
                self.restarts += 1
                self.note("a service ended by itself", name=service.name, code=service.ended[-1])

    def _stop_services(self) -> None:
        for service in self.services:
            service.resume()
            service.stop()

    def _stop_servers(self) -> None:
        for server in (self.redis, self.broker):
            server.resume()
            server.stop()
        self.redis.client.close()
