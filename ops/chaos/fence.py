"""How much of a write to Redis the fence takes: the service's store against the same calls that look at no fence."""

from __future__ import annotations

import time
from collections.abc import Callable

from daemon import ChaosError
from redis_server import RedisServer

from consumer import keys
from consumer.redis import RedisStore
from consumer.redis_nodes import OneServer, Wire
from consumer.redis_scripts import APPLY
from consumer.redis_writes import calls, card, list_of
from consumer.types import CardWrite, Changes, Generation, ListWrite

BATCHES, LISTS, CARDS, K = 60, 300, 64, 10
"""Of a batch as the service writes it: some lists change with each new product, and each event changes a card."""
GENERATION = "fence"
TIMEOUT = 10.0

Write = Callable[[Changes], None]


def fence_share(server: RedisServer, turns: int = 12) -> float:
    """1 - time without / time with, both taking turns, the best of each. Removes everything from the server."""
    batches = [_batch(number) for number in range(BATCHES)]
    fenced, plain = _fenced(f"redis://127.0.0.1:{server.port}/0"), _plain(server)
    spent = [(_timed(fenced, batches), _timed(plain, batches)) for _ in range(turns)]
    server.client.flushall()
    return 1 - min(without for _, without in spent) / min(with_it for with_it, _ in spent)


def _timed(write: Write, batches: list[Changes]) -> float:
    began = time.perf_counter()
    for batch in batches:
        write(batch)
    return time.perf_counter() - began


def _batch(number: int) -> Changes:
    ids = [f"product-{number}-{row}" for row in range(LISTS)]
    lists = [
        ListWrite(id, [(ids[(row + n) % LISTS], 1 - n / 100) for n in range(1, K + 1)]) for row, id in enumerate(ids)
    ]
    fields = {"available": "true", "title": "a product of some words", "price": "12.5", "version": "7"}
    return Changes(lists, [CardWrite(id, fields) for id in ids[:CARDS]], [], LISTS)


def _fenced(address: str) -> Write:
    store = RedisStore(address, GENERATION)
    store.open(Generation(name=GENERATION, model="none", dim=1, k=K))
    term = store.lead("fence", 0)
    store.begin(term)
    return lambda changes: store.write(changes, 1.0, term)


def _plain(server: RedisServer) -> Write:
    """Lists and cards by the store's script without its fence, then the number of products, as a plain command."""
    topology = OneServer(server.client)
    wire = Wire(lambda: topology, TIMEOUT)
    script = str(server.client.script_load(_without_fence(APPLY.source)))

    def write(changes: Changes) -> None:
        operations = [list_of("plain", write) for write in changes.lists]
        operations += [card("plain", write, "1.000000") for write in changes.cards]
        fenced = calls(operations, topology, "plain", 1)
        list(wire.ask((slot, (command[0], script, *command[2:])) for slot, command in fenced))
        list(wire.ask([(0, ("HSET", keys.meta_key("plain"), "products", str(changes.products)))]))

    return write


def _without_fence(source: str) -> str:
    lines = source.splitlines()
    kept = [line for line in lines if "fence" not in line]
    if len(kept) == len(lines):
        raise ChaosError("the store's script looks at no fence: measure what it does instead, in ops/chaos/fence.py")
    return "\n".join(kept)
