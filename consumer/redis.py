"""The store on Redis: the lists and cards that readers see.

A list is replaced by a script of one key, so that no reader sees half of it or an empty one in between; the same holds
for a card that loses a field. Everything else is idempotent, so a write that failed half way is simply made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import hiredis
import redis
from redis.exceptions import NoScriptError

from consumer import keys
from consumer.config import masked
from consumer.errors import KinstreamError, ServerUnavailable
from consumer.types import FIXED, CardWrite, Changes, Generation, ListWrite

CHUNK = 1000
"""Commands sent in one round trip."""
AHEAD = 64
"""Commands sent before the next are packed, so that Redis works meanwhile."""
FACTS = ("price", "currency", "available", "version", "updated_at")
TIMEOUT = 10.0
"""Seconds without an answer before Redis counts as unavailable."""
REPLACE_LIST = "redis.call('DEL', KEYS[1]) if #ARGV > 0 then redis.call('ZADD', KEYS[1], unpack(ARGV)) end"
REPLACE_CARD = "redis.call('DEL', KEYS[1]) redis.call('HSET', KEYS[1], unpack(ARGV))"

Command = tuple[str, ...]


class RedisStore:
    """Writes one generation."""

    def __init__(self, url: str, generation: str) -> None:
        self._address = masked(url)
        self._generation = generation
        self._redis = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, decode_responses=True
        )
        self._meta = keys.meta_key(generation)
        self._list_script = self._card_script = ""

    def open(self, generation: Generation) -> None:
        """Register the generation, or check that it is the one stored under its name."""
        with self._reachable():
            stored = cast("dict[str, str]", self._redis.hgetall(self._meta))
            ours = {name: str(value) for name, value in _meta_fields(generation).items()}
            _check_same_settings(generation.name, stored, ours)
            self._redis.hset(self._meta, mapping=cast("Any", ours | stored))
            self._load_scripts()

    def write(self, changes: Changes, now: float) -> None:
        """Write lists, cards and removals."""
        commands = [self._replace_list(write) for write in changes.lists]
        seen_at = f"{now:.6f}"
        commands += [self._replace_card(write, seen_at) for write in changes.cards]
        commands += self._removals(changes.removed)
        commands.append(("HSET", self._meta, "products", str(changes.products)))
        self._send(commands)

    def ids(self) -> Iterator[str]:
        """Ids that have a list or a card."""
        with self._reachable():
            for key in self._redis.scan_iter(match=keys.product_pattern(self._generation), count=CHUNK):
                parsed = keys.parse_key(key)
                if parsed is not None:
                    yield parsed.id

    def remove(self, ids: Iterable[str]) -> None:
        """Remove lists and cards."""
        self._send(list(self._removals(ids)))

    def ready(self, products: int) -> None:
        """Mark the generation as ready; the first one becomes live."""
        with self._reachable():
            self._redis.hset(self._meta, "products", products)
            if self._redis.hget(self._meta, "state") == "building":
                self._redis.hset(self._meta, "state", "ready")
            self._redis.set(keys.live_key(), self._generation, nx=True)
            if self._redis.get(keys.live_key()) == self._generation:
                self._redis.hset(self._meta, "state", "live")

    def ping(self) -> None:
        """Raise ServerUnavailable when Redis does not answer."""
        with self._reachable():
            self._redis.ping()

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _replace_list(self, write: ListWrite) -> Command:
        members = [part for id, score in write.neighbours for part in (f"{score:.7g}", id)]
        return ("EVALSHA", self._list_script, "1", keys.list_key(self._generation, write.id), *members)

    def _replace_card(self, write: CardWrite, seen_at: str) -> Command:
        shown = write.fields
        if write.facts_only and not write.gone:
            shown = {name: shown[name] for name in FACTS if name in shown}
        fields = [part for field in shown.items() for part in field]
        key = keys.card_key(self._generation, write.id)
        if write.gone:
            return ("EVALSHA", self._card_script, "1", key, *fields, "seen_at", seen_at)
        return ("HSET", key, *fields, "seen_at", seen_at)

    def _removals(self, ids: Iterable[str]) -> Iterator[Command]:
        for id in ids:
            yield ("DEL", keys.list_key(self._generation, id))
            yield ("DEL", keys.card_key(self._generation, id))

    def _send(self, commands: list[Command]) -> None:
        with self._reachable():
            for start in range(0, len(commands), CHUNK):
                try:
                    self._pipelined(commands[start : start + CHUNK])
                except NoScriptError:
                    self._load_scripts()
                    self._pipelined(commands[start : start + CHUNK])

    def _pipelined(self, commands: list[Command]) -> None:
        """One round trip. The client's own pipeline costs more than the commands themselves: it packs in Python."""
        pool = self._redis.connection_pool
        connection = pool.get_connection()
        try:
            for start in range(0, len(commands), AHEAD):
                packed = b"".join(map(hiredis.pack_command, commands[start : start + AHEAD]))  # type: ignore[arg-type]
                connection.send_packed_command([packed])  # type: ignore[no-untyped-call]
            for _ in commands:
                connection.read_response()
        except BaseException:
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise
        finally:
            pool.release(connection)

    def _load_scripts(self) -> None:
        self._list_script = str(self._redis.script_load(REPLACE_LIST))
        self._card_script = str(self._redis.script_load(REPLACE_CARD))

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise ServerUnavailable(
                f"Redis at {self._address} does not answer ({error}); start it, or set KINSTREAM_REDIS"
            ) from error
        except redis.RedisError as error:
            raise ServerUnavailable(
                f"Redis at {self._address} refuses ({error}); mend it, see kinstream doctor"
            ) from error


def _meta_fields(generation: Generation) -> dict[str, Any]:
    return {
        "model": generation.model,
        "dim": generation.dim,
        "metric": generation.metric,
        "k": generation.k,
        "products": generation.products,
        "state": generation.state,
        "created_at": f"{generation.created_at:.3f}",
    }


def _check_same_settings(name: str, stored: dict[str, str], ours: dict[str, str]) -> None:
    for setting in FIXED:
        if setting in stored and stored[setting] != ours[setting]:
            raise KinstreamError(
                f"generation {name} in Redis was built with {setting} {stored[setting]}, this service has "
                f"{ours[setting]}: build beside it under another KINSTREAM_GENERATION and promote that"
            )
