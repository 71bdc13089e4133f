"""The model card: what a bundle was made from, how good it is, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from model.bundle import Manifest

CARD = "MODEL_CARD.md"
USE = "Finding the nearest products of a product: same or interchangeable products first, similar ones after."
LIMITS = (
    "Two offers whose texts differ only in what lies behind the cut of the text get the same vector.",
    "A high similarity is no proof that two products are the same; set a threshold on labelled pairs of your own.",
    "Languages and kinds of products that the training data lacks were not measured.",
)


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the manifest cannot say.

    Attributes:
        data: what it was trained on, one line a source, with licence or the lack of one.
        metrics: rows of one table, by column; each row names data set and split.
        training: how it was trained, one line each.
        use, limits: what it is for, and what not.
    """

    data: tuple[str, ...] = ()
    metrics: tuple[dict[str, str | float], ...] = ()
    training: tuple[str, ...] = ()
    use: str = USE
    limits: tuple[str, ...] = LIMITS


def write_card(folder: Path, manifest: Manifest, card: Card, difference: float | None = None) -> None:
    """Write ``MODEL_CARD.md`` into a bundle.

    Args:
        folder: the bundle.
        manifest: its manifest.
        card: what the manifest cannot say.
        difference: the largest one between the graph and the network in torch, if it was measured.
    """
    checked = [] if difference is None else [f"Largest difference between graph and torch: {difference:.1e}"]
    sections = (
        ("Use", [card.use]),
        ("Limits", _listed(card.limits)),
        ("Input and output", _listed((*_interface(manifest), *checked))),
        ("Data", _listed(card.data or ("No training: the weights are as published.",))),
        ("Training", _listed(card.training or ("None.",))),
        ("Metrics", table(card.metrics) or ["Not measured."]),
        ("Source and licence", [f"{manifest.source}.", "", f"Licence: {manifest.licence}."]),
    )
    lines = [f"# {manifest.name}"]
    for title, body in sections:
        lines += ["", f"## {title}", "", *body]
    (folder / CARD).write_text("\n".join(lines) + "\n", "utf-8")


def table(rows: Sequence[Mapping[str, str | float]]) -> list[str]:
    """Markdown lines of a table; columns in the order in which the rows bring them."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if not columns:
        return []
    body = [[_cell(row.get(column, "")) for column in columns] for row in rows]
    return [f"| {' | '.join(line)} |" for line in [columns, ["---"] * len(columns), *body]]


def _interface(manifest: Manifest) -> list[str]:
    image = manifest.image
    return [
        f"Vectors: {manifest.dim} dimensions, unit length, {manifest.metric}",
        f"Text: {manifest.text.separator.join(manifest.text.fields)}, cut at {manifest.max_tokens} tokens",
        f"Image: {image.width} x {image.height} pixels" if image else "Image: not read",
    ]


def _listed(lines: Sequence[str]) -> list[str]:
    return [f"* {line}" for line in lines]


def _cell(value: str | float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "\\|")
