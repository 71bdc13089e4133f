"""A comparison of two bundles for people."""

from __future__ import annotations

from model.evaluation.comparison import Comparison, Entry, Example
from model.evaluation.rendering import Grid


def comparison_grids(found: Comparison) -> list[Grid]:
    """The counts, the distribution, and each example side by side: what only one list has is marked with a star."""
    return [_counts(found), _distribution(found), *(_side_by_side(found, example) for example in found.examples)]


def _counts(found: Comparison) -> Grid:
    rows = [
        ["the same", *_share(found.same, found.products)],
        ["same products, other order", *_share(found.reordered, found.products)],
        ["other products", *_share(found.changed, found.products)],
        [f"mean overlap@{found.k}", f"{found.overlap:.3f}", ""],
    ]
    return Grid(f"{found.first} against {found.second}: lists of {found.products} products", ["", "lists", "%"], rows)


def _distribution(found: Comparison) -> Grid:
    rows = [
        [f"{common} of {found.k}", *_share(lists, found.products)]
        for common, lists in reversed(list(enumerate(found.distribution)))
    ]
    return Grid("Products in common", ["in common", "lists", "%"], rows)


def _side_by_side(found: Comparison, example: Example) -> Grid:
    kept = {entry.id for entry in example.first} & {entry.id for entry in example.second}
    rows = [
        [str(rank), _cell(left, kept), f"{left.score:.3f}", _cell(right, kept), f"{right.score:.3f}"]
        for rank, (left, right) in enumerate(zip(example.first, example.second, strict=True), 1)
    ]
    title = f"{example.id}: {example.title} ({example.overlap:.0%} in common)"
    return Grid(title, ["rank", found.first, "score", found.second, "score"], rows)


def _cell(entry: Entry, kept: set[str]) -> str:
    return f"{'' if entry.id in kept else '* '}{entry.title} ({entry.id})"


def _share(lists: int, products: int) -> tuple[str, str]:
    return str(lists), f"{100 * lists / products:.1f}"
