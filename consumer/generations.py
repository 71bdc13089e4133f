"""The generations in Redis: which there are, which one is live, what is stored of one, and switching."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import redis

from consumer import keys
from consumer.errors import KinstreamError
from consumer.queries import (
    Question,
    ask,
    fields,
    has_card,
    members,
    queue,
    text,
    whole_list,
)
from consumer.servers import Client, Server, answering
from consumer.types import Generation
from consumer.verification import Stored

SCAN_COUNT = 1000
ATTEMPTS = 10
PROMOTABLE = ("ready", "live", "retired")


class UnknownGeneration(KinstreamError):
    """No generation has this name, or it cannot be promoted yet."""


class Generations:
    """All generations on a server.

    Args:
        server: a Redis URL, of any node when it is a cluster, or a client of your own.

    Raises:
        ServerUnavailable: by every method, when Redis does not answer.
    """

    def __init__(self, server: str | Client) -> None:
        self._server = Server(server)

    def live(self) -> str | None:
        """Name of the generation that readers use."""
        with answering(self._server.address):
            return _name(self._server.client().get(keys.live_key()))

    def all(self) -> list[Generation]:
        """Every generation, oldest first. Its state is ``live`` only when readers really use it."""
        with answering(self._server.address):
            live = _name(self._server.client().get(keys.live_key()))
            found = self._server.client().scan_iter(match=keys.META_PATTERN, count=SCAN_COUNT)
            names = {name for name in map(keys.parse_meta_key, found) if name is not None}
            metas = [(name, self._server.client().hgetall(keys.meta_key(name))) for name in sorted(names)]
        registered = [(name, fields(meta)) for name, meta in metas if b"model" in meta or "model" in meta]
        generations = [_generation(name, meta, live) for name, meta in registered]
        return sorted(generations, key=lambda generation: generation.created_at)

    def promote(self, name: str) -> str | None:
        """Switch readers to a generation; returns the name of the one they used before. Safe to repeat.

        Raises:
            UnknownGeneration: there is none of this name, or it is still being built.
        """
        with answering(self._server.address):
            client = self._server.client()
            if isinstance(client, redis.Redis):
                return self._promote_at_once(client, name)
            return self._promote_in_steps(name)

    def _promote_at_once(self, client: redis.Redis, name: str) -> str | None:
        for _ in range(ATTEMPTS):
            with client.pipeline(transaction=True) as pipeline:
                pipeline.watch(keys.live_key(), keys.meta_key(name))  # type: ignore[no-untyped-call]
                old = self._checked(pipeline, name)
                pipeline.multi()
                queue(pipeline, _steps(name, old))
                try:
                    pipeline.execute()
                    return old
                except redis.WatchError:
                    continue
        raise KinstreamError(f"generation {name} kept changing while it was promoted: try again")

    def _promote_in_steps(self, name: str) -> str | None:
        """The keys lie on several nodes: readers follow ``kin:live`` alone, so each state in between is sound."""
        old = self._checked(self._server.client(), name)
        for step in _steps(name, old):
            ask(self._server.client(), step)
        return old

    def _checked(self, client: Any, name: str) -> str | None:
        state = _name(client.hget(keys.meta_key(name), "state"))
        if state not in PROMOTABLE:
            why = "is unknown" if state is None else f"is {state}: wait until it is ready"
            raise UnknownGeneration(f"generation {name!r} {why}; kinstream generations lists them")
        old = _name(client.get(keys.live_key()))
        return old if old is not None and client.exists(keys.meta_key(old)) else None


class StoredGeneration:
    """The lists and cards that Redis has of one generation, for checks."""

    def __init__(self, server: str | Client, name: str) -> None:
        self._server = Server(server)
        self._name = name

    def fetch(self, ids: Sequence[str]) -> list[Stored]:
        """What is stored of some products, in their order; one round trip."""
        with answering(self._server.address):
            answers = queue(self._server.client().pipeline(transaction=False), self._questions(ids)).execute()
        return [Stored(members(found), facts > 0) for found, facts in zip(answers[::2], answers[1::2], strict=True)]

    def ids(self) -> Iterator[str]:
        """Ids that have a list or a card; an id may come more than once."""
        with answering(self._server.address):
            for key in self._server.client().scan_iter(match=keys.product_pattern(self._name), count=SCAN_COUNT):
                parsed = keys.parse_key(key)
                if parsed is not None:
                    yield parsed.id

    def _questions(self, ids: Sequence[str]) -> Iterator[Question]:
        for id in ids:
            yield whole_list(self._name, id)
            yield has_card(self._name, id)


def _steps(name: str, old: str | None) -> Iterator[Question]:
    """The writes of a promotion, in the order that is safe when a crash comes between them."""
    yield "set", keys.live_key(), name
    yield "hset", keys.meta_key(name), "state", "live"
    if old is not None and old != name:
        yield "hset", keys.meta_key(old), "state", "retired"


def _generation(name: str, meta: dict[str, str], live: str | None) -> Generation:
    state = "live" if name == live else "retired" if meta.get("state") == "live" else meta.get("state")
    try:
        return msgspec.convert(meta | {"name": name, "state": state}, Generation, strict=False)
    except msgspec.ValidationError as error:
        raise KinstreamError(
            f"{keys.meta_key(name)} in Redis is not a generation ({error}): delete it if it is not yours"
        ) from error


def _name(answer: bytes | str | None) -> str | None:
    return None if answer is None else text(answer)
