"""``doctor`` on Redis: reachable, sound settings, a live generation."""

from __future__ import annotations

from typing import Any

import redis

from consumer.commands.findings import Finding, State, judged
from consumer.config import Settings
from consumer.errors import KinstreamError, ServerUnavailable
from consumer.generations import Generations
from consumer.servers import Client, Server, address, answering

OLDEST = (6, 2)
"""The oldest version that is tested."""


def check_redis(settings: Settings) -> list[Finding]:
    """Check the server, or each primary of a cluster, and what is stored."""
    where = address(settings.redis)
    try:
        server = Server(settings.redis)
        with answering(where):
            facts = _facts(server.client(), where)
        findings = [finding for name, told in facts.items() for finding in _judged(name, told)]
        return [*findings, live(Generations(server.client()).live())]
    except ServerUnavailable as error:
        return [Finding("Redis", State.UNREACHABLE, str(error), "start it, or set KINSTREAM_REDIS")]
    except KinstreamError as error:
        return [Finding("Redis", State.FAILED, str(error), "set KINSTREAM_REDIS to a server and user that may do this")]


def _facts(client: Client, where: str) -> dict[str, dict[str, Any]]:
    """What each server says of itself."""
    if isinstance(client, redis.Redis):
        return {where: dict(client.info("all"))}
    return {
        node.name: dict(client.info("all", target_nodes=node))
        for node in client.get_primaries()  # type: ignore[no-untyped-call]
    }


def _judged(where: str, facts: dict[str, Any]) -> list[Finding]:
    return [
        version(where, str(facts["redis_version"])),
        eviction(str(facts.get("maxmemory_policy", "unknown"))),
        persistence(facts),
    ]


def version(where: str, text: str) -> Finding:
    """Versions older than the tested ones may do."""
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    fault = State.WARNING if numbers < OLDEST else None
    return judged("Redis", fault, f"{where}, version {text}", "use Redis 6.2 or newer, which is what is tested")


def eviction(policy: str) -> Finding:
    """A Redis that evicts throws lists away."""
    fault = None if policy == "noeviction" else State.FAILED
    return judged("Redis maxmemory-policy", fault, policy, "CONFIG SET maxmemory-policy noeviction, and in its file")


def persistence(facts: dict[str, Any]) -> Finding:
    """Without a file on disk a restart of Redis is an outage for readers."""
    appending = bool(int(facts.get("aof_enabled", 0)))
    remedy = "set appendonly yes, or readers find nothing after a restart of Redis until the service rewrote it"
    return judged(
        "Redis persistence",
        None if appending else State.WARNING,
        "append-only file" if appending else "no append-only file",
        remedy,
    )


def live(generation: str | None) -> Finding:
    """Before the first start nothing is live."""
    fault = State.WARNING if generation is None else None
    remedy = "start kinstream run: the first generation that is ready becomes live"
    return judged("live generation", fault, generation or "none yet", remedy)
