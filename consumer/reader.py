"""Reading the lists, for applications: one round trip a question, one more to ask for the live generation.

The two readers differ in nothing but who waits; questions and answers are in consumer.queries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from consumer import keys
from consumer.errors import ServerUnavailable
from consumer.queries import (
    Card,
    LiveName,
    Neighbour,
    NoGeneration,
    Question,
    UnknownProduct,
    card_questions,
    list_questions,
    parse_cards,
    parse_list,
    queue,
)
from consumer.servers import AsyncClient, AsyncServer, Client, Server, answering

__all__ = [
    "AsyncNeighbourReader",
    "Card",
    "Neighbour",
    "NeighbourReader",
    "NoGeneration",
    "ServerUnavailable",
    "UnknownProduct",
]


class NeighbourReader:
    """Reads lists and cards. Safe to share between threads.

    Args:
        server: a Redis URL, of any node when it is a cluster, or a client of your own, which ``close`` leaves open.
        live_ttl: seconds that the live generation's name is remembered: a promotion is seen at most that late.
        clock: seconds, monotonic.
        generation: read this one instead of the live one, such as before its promotion.

    Raises:
        ServerUnavailable: by every method, when Redis does not answer.
        NoGeneration: by every method, when no generation is live.
    """

    def __init__(
        self,
        server: str | Client,
        live_ttl: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        generation: str | None = None,
    ) -> None:
        self._server = Server(server)
        self._live = LiveName(live_ttl, clock, generation)

    def generation(self) -> str:
        """Name of the generation that is read."""
        known = self._live.remembered()
        if known is not None:
            return known
        with answering(self._server.address):
            return self._live.remember(self._server.client().get(keys.live_key()))

    def neighbours(self, id: str, k: int = 10) -> list[Neighbour]:
        """The product's nearest products, best first, at most ``k``.

        Raises:
            UnknownProduct: there is no such product.
        """
        generation = self.generation()
        return parse_list(self._ask(list_questions(generation, id, k)), generation, id)

    def card(self, id: str) -> Card | None:
        """The product's card, or None when there is no such product."""
        return self.cards([id])[0]

    def cards(self, ids: Sequence[str]) -> list[Card | None]:
        """The cards of some products, in their order."""
        return parse_cards(self._ask(card_questions(self.generation(), ids)))

    def close(self) -> None:
        """Close the connections that were opened from a URL."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, questions: Sequence[Question]) -> list[Any]:
        with answering(self._server.address):
            return list(queue(self._server.client().pipeline(transaction=False), questions).execute())


class AsyncNeighbourReader:
    """``NeighbourReader`` for asyncio: the same arguments, methods, and errors."""

    def __init__(
        self,
        server: str | AsyncClient,
        live_ttl: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        generation: str | None = None,
    ) -> None:
        self._server = AsyncServer(server)
        self._live = LiveName(live_ttl, clock, generation)

    async def generation(self) -> str:
        """Name of the generation that is read."""
        known = self._live.remembered()
        if known is not None:
            return known
        with answering(self._server.address):
            return self._live.remember(await (await self._server.client()).get(keys.live_key()))

    async def neighbours(self, id: str, k: int = 10) -> list[Neighbour]:
        """The product's nearest products, best first, at most ``k``."""
        generation = await self.generation()
        return parse_list(await self._ask(list_questions(generation, id, k)), generation, id)

    async def card(self, id: str) -> Card | None:
        """The product's card, or None when there is no such product."""
        return (await self.cards([id]))[0]

    async def cards(self, ids: Sequence[str]) -> list[Card | None]:
        """The cards of some products, in their order."""
        return parse_cards(await self._ask(card_questions(await self.generation(), ids)))

    async def close(self) -> None:
        """Close the connections that were opened from a URL."""
        await self._server.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, questions: Sequence[Question]) -> list[Any]:
        with answering(self._server.address):
            client = await self._server.client()
            return list(await queue(client.pipeline(transaction=False), questions).execute())
