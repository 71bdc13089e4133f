"""Shadow comparison: what would change in the lists of a catalogue if another bundle made the vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from model.evaluation.bundles import BundleRanker, ReadImage
from model.evaluation.ranking import Vectors
from model.evaluation.retrieval import DECIMALS
from model.runtime import OnnxEncoder
from producer.events import Product
from producer.progress import Shown, silent

BLOCK = 256

Lists = NDArray[np.int64]


class Entry(msgspec.Struct, frozen=True):
    """A product in a list, and its similarity."""

    id: str
    title: str
    score: float


class Example(msgspec.Struct, frozen=True):
    """One product's lists by both bundles, and the share that they have in common."""

    id: str
    title: str
    overlap: float
    first: list[Entry]
    second: list[Entry]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """How the lists of two bundles differ.

    Attributes:
        k: length of the lists.
        same: lists that are the same, order included.
        reordered: lists with the same products in another order.
        changed: lists with other products.
        overlap: mean share of products in common.
        distribution: number of lists by how many products they have in common, from 0 to k.
        examples: the lists that differ most.
    """

    first: str
    second: str
    products: int
    k: int
    same: int
    reordered: int
    changed: int
    overlap: float
    distribution: list[int]
    examples: list[Example]


def nearest(vectors: Vectors, k: int) -> tuple[Lists, Vectors]:
    """The k nearest other rows of each row of unit vectors [n, dim], exactly; equal ones in the order of the rows.

    Returns:
        Rows int64 [n, k] and similarities float32 [n, k].
    """
    found = [_block(vectors, start, k) for start in range(0, len(vectors), BLOCK)]
    return np.concatenate([lists for lists, _ in found]), np.concatenate([scores for _, scores in found])


def compare(
    products: Sequence[Product],
    first: tuple[str, Vectors],
    second: tuple[str, Vectors],
    k: int = 10,
    examples: int = 5,
) -> Comparison:
    """Compare all lists of a catalogue.

    Args:
        products: the catalogue [n].
        first: the name of a bundle and its unit vectors [n, dim] of these products.
        second: another, whose dimension may differ.
        k: length of the lists; shorter where there are fewer other products.
        examples: how many of the largest differences to keep.

    Raises:
        ValueError: fewer than two products, or not one vector for each.
    """
    if not 2 <= len(products) == len(first[1]) == len(second[1]):
        counts = f"{len(products)} products, {len(first[1])} and {len(second[1])} vectors"
        raise ValueError(f"{counts}: lists need two products, and one vector of each bundle for each")
    k = min(k, len(products) - 1)
    before, after = nearest(first[1], k), nearest(second[1], k)
    common = np.array([len(np.intersect1d(*lists)) for lists in zip(before[0], after[0], strict=True)])
    same = (before[0] == after[0]).all(axis=1)
    counts_by_overlap = np.bincount(common, minlength=k + 1)
    worst = np.argsort(common, kind="stable")[:examples]
    return Comparison(
        first=first[0],
        second=second[0],
        products=len(products),
        k=k,
        same=int(same.sum()),
        reordered=int(counts_by_overlap[k] - same.sum()),
        changed=int((common < k).sum()),
        overlap=float(common.mean() / k),
        distribution=counts_by_overlap.tolist(),
        examples=[
            Example(
                id=products[row].id,
                title=_title(products[row]),
                overlap=float(common[row] / k),
                first=_entries(products, before, row),
                second=_entries(products, after, row),
            )
            for row in worst
            if common[row] < k
        ],
    )


def compare_bundles(
    first: Path,
    second: Path,
    products: Sequence[Product],
    k: int = 10,
    examples: int = 5,
    read_image: ReadImage | None = None,
    shown: Shown = silent,
) -> Comparison:
    """Encode the catalogue with both bundles and compare; the bundles are named by folder where their names agree.

    ``shown`` is told how many products each has encoded.

    Raises:
        BundleError: a bundle is damaged or unsound.
        ValueError: fewer than two products.
    """
    encoders = [OnnxEncoder.load(folder) for folder in (first, second)]
    alike = encoders[0].name == encoders[1].name
    names = [str(folder) if alike else encoder.name for folder, encoder in zip((first, second), encoders, strict=True)]
    vectors = [
        BundleRanker(encoder, read_image, shown).over(products).vectors([product.id for product in products])
        for encoder in encoders
    ]
    return compare(products, (names[0], vectors[0]), (names[1], vectors[1]), k, examples)


def _block(vectors: Vectors, start: int, k: int) -> tuple[Lists, Vectors]:
    scores = np.round(vectors[start : start + BLOCK] @ vectors.T, DECIMALS)
    rows = np.arange(len(scores))
    scores[rows, start + rows] = -np.inf
    least = np.partition(scores, -k, axis=1)[:, -k]
    lists = np.stack([_first(row, reach, k) for row, reach in zip(scores, least, strict=True)])
    return lists, np.take_along_axis(scores, lists, axis=1)


def _first(scores: Vectors, least: np.float32, k: int) -> Lists:
    """The first k of those that reach the least score, best first."""
    reaching = np.flatnonzero(scores >= least)
    return reaching[np.argsort(-scores[reaching], kind="stable")[:k]]


def _entries(products: Sequence[Product], found: tuple[Lists, Vectors], row: int) -> list[Entry]:
    lists, scores = found
    return [
        Entry(products[at].id, _title(products[at]), float(score))
        for at, score in zip(lists[row], scores[row], strict=True)
    ]


def _title(product: Product) -> str:
    return product.title or ""
