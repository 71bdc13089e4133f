"""``neighbours`` and ``search``: what lies near a product, a text, or an image."""

# ruff: noqa: PLC0415 - what is heavy is imported by the command that needs it

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumer.commands import options
from consumer.commands.output import note, print_json, print_table
from consumer.errors import ServerUnavailable

if TYPE_CHECKING:
    from consumer.client import Answer
    from consumer.config import Settings
    from consumer.reader import Card, Neighbour

COLUMNS = ("id", "title", "brand", "price ", "score ")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(neighbours)
    app.command()(search)


def neighbours(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="Id of the product.", show_default=False)],
    count: options.Count = 10,
    as_json: options.Json = False,
    redis: options.Redis = None,
) -> None:
    """Show a product's list of nearest products.

    Example: kinstream neighbours sku-17 -k 5
    """
    from consumer.reader import NeighbourReader

    settings = options.settings_of(context)
    with NeighbourReader(settings.redis) as reader:
        found = reader.neighbours(id, count)
        if as_json:
            print_json({"id": id, "generation": reader.generation(), "neighbours": _pairs(found)})
            return
        own, *cards = reader.cards([id, *(neighbour.id for neighbour in found)])
        title = f"Nearest to {_shown(own, 'title') or id} ({id}), generation {reader.generation()}"
    print_table(title, COLUMNS, _rows(found, cards))


def search(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="What to look for.", show_default=False)] = None,
    *,
    image: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Image file to look for, alone or with TEXT.")
    ] = None,
    count: options.Count = 10,
    as_json: options.Json = False,
    redis: options.Redis = None,
    generation: options.Generation = None,
    model: options.Model = None,
    device: options.Device = None,
    state: options.State = None,
    metrics_port: options.MetricsPort = None,
) -> None:
    """Show the products nearest to a text or an image.

    The running service is asked; else its newest snapshot is searched.

    Example: kinstream search "waterproof hiking boots" --image boots.jpg
    """
    if text is None and image is None:
        raise typer.BadParameter("give TEXT, --image FILE, or both")
    settings = options.settings_of(context)
    answer = _answer(settings, text, None if image is None else image.read_bytes(), count)
    query = str(image) if text is None else text
    if as_json:
        print_json({"query": query, "generation": answer.generation, "neighbours": _pairs(answer.neighbours)})
        return
    cards = _cards_if_any(settings, answer)
    print_table(f"Nearest to {query!r}, generation {answer.generation}", COLUMNS, _rows(answer.neighbours, cards))


def _answer(settings: Settings, text: str | None, image: bytes | None, count: int) -> Answer:
    from consumer.client import running_search, saved_export, search_export

    answer = running_search(settings, text, image, count)
    if answer is not None:
        return answer
    export = saved_export(settings, note)
    from consumer.app import build_encoder

    return search_export(export, build_encoder(settings), text, image, count)


def _cards_if_any(settings: Settings, answer: Answer) -> Sequence[Card | None]:
    """Titles are a courtesy here: a snapshot can be searched without Redis."""
    from consumer.reader import NeighbourReader

    ids = [neighbour.id for neighbour in answer.neighbours]
    try:
        with NeighbourReader(settings.redis, generation=answer.generation) as reader:
            return reader.cards(ids)
    except ServerUnavailable as error:
        note(f"no titles: {error}")
        return [None] * len(ids)


def _pairs(found: Sequence[Neighbour]) -> list[dict[str, Any]]:
    return [{"id": neighbour.id, "score": neighbour.score} for neighbour in found]


def _rows(found: Sequence[Neighbour], cards: Sequence[Card | None]) -> list[list[str]]:
    return [
        [near.id, _shown(card, "title"), _shown(card, "brand"), _price(card), f"{near.score:.4f}"]
        for near, card in zip(found, cards, strict=True)
    ]


def _shown(card: Card | None, field: str) -> str:
    return (card or {}).get(field, "")


def _price(card: Card | None) -> str:
    return f"{_shown(card, 'price')} {_shown(card, 'currency')}".strip()
