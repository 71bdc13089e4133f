"""What readers ask Redis and how its answers are read: shared by the readers, sync and asyncio, and the scans."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from consumer import keys
from consumer.errors import KinstreamError

Card = dict[str, str]
"""The facts shown beside a product; a fact that is not known is absent."""

Question = tuple[Any, ...]
"""The name of a client's method, and its arguments."""


class UnknownProduct(KinstreamError):
    """No card: the product was never readable in this generation, or was deleted."""


class NoGeneration(KinstreamError):
    """No generation is live yet, so there is nothing to read."""


class Neighbour(msgspec.Struct, frozen=True):
    """One entry of a list; ``score`` is the cosine similarity, or the negated distance."""

    id: str
    score: float


class LiveName:
    """Remembers the name of the live generation for ``ttl`` seconds, or for ever when it is given."""

    def __init__(self, ttl: float, clock: Callable[[], float] = time.monotonic, fixed: str | None = None) -> None:
        self._ttl = ttl
        self._clock = clock
        self._name, self._until = fixed, float("inf")

    def remembered(self) -> str | None:
        """The name, or None when it must be asked."""
        return self._name if self._clock() < self._until else None

    def remember(self, answer: bytes | str | None) -> str:
        """Take the answer of ``GET kin:live``."""
        if answer is None:
            raise NoGeneration(
                "no generation is live yet: start the service (kinstream run) and wait until it is ready"
            )
        name = text(answer)
        self._name, self._until = name, self._clock() + self._ttl
        return name


def queue(pipeline: Any, questions: Iterable[Question]) -> Any:
    """Queue all questions; what remains is to execute the pipeline."""
    for question in questions:
        ask(pipeline, question)
    return pipeline


def ask(client: Any, question: Question) -> Any:
    """Ask a client, or queue the question on a pipeline."""
    method, *arguments = question
    return getattr(client, method)(*arguments)


def list_questions(generation: str, id: str, k: int) -> list[Question]:
    """Ask for the best ``k`` of a list, and whether the product is known."""
    if k < 1:
        raise ValueError(f"k is {k}: ask for at least one neighbour")
    return [whole_list(generation, id, k), has_card(generation, id)]


def whole_list(generation: str, id: str, k: int = 0) -> Question:
    """Ask for a list with its scores: the best ``k``, or all of it."""
    return "zrevrange", keys.list_key(generation, id), 0, k - 1, True


def has_card(generation: str, id: str) -> Question:
    """Ask for the number of facts on a card: none means no such product."""
    return "hlen", keys.card_key(generation, id)


def card_questions(generation: str, ids: Sequence[str]) -> list[Question]:
    """Ask for the cards of some products."""
    return [("hgetall", keys.card_key(generation, id)) for id in ids]


def parse_list(answers: Sequence[Any], generation: str, id: str) -> list[Neighbour]:
    """Read the answers to ``list_questions``."""
    found, facts = answers
    if not facts:
        raise UnknownProduct(
            f"product {id!r} is not in generation {generation}: it was never published, or was deleted"
        )
    return [Neighbour(member, score) for member, score in members(found)]


def members(answer: Sequence[tuple[bytes | str, float]]) -> list[tuple[str, float]]:
    """Read a sorted set with its scores."""
    return [(text(member), float(score)) for member, score in answer]


def parse_cards(answers: Sequence[Mapping[bytes | str, bytes | str]]) -> list[Card | None]:
    """Read the answers to ``card_questions``; no fields means no such product."""
    return [fields(answer) or None for answer in answers]


def fields(answer: Mapping[bytes | str, bytes | str]) -> Card:
    """Read a hash."""
    return {text(name): text(value) for name, value in answer.items()}


def text(value: bytes | str) -> str:
    """Clients answer in bytes or text, as they were made."""
    return value.decode() if isinstance(value, bytes) else value
