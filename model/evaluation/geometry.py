"""How vectors lie on the sphere.

Source: Wang and Isola, Understanding Contrastive Representation Learning through Alignment and Uniformity on the
Hypersphere, 2020 (arXiv 2005.10242).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.data.dataset import Dataset
from model.evaluation.ranking import Vectors, VectorSpace

BLOCK = 512
LARGEST = 5000
"""Uniformity takes at most this many products, evenly spread: beyond, it changes in the third digit only."""


def alignment(left: Vectors, right: Vectors, alpha: float = 2) -> float:
    """Mean distance to the power alpha of matches [n, dim] and [n, dim]; 0 is best."""
    return float((np.linalg.norm(left - right, axis=1) ** alpha).mean())


def uniformity(vectors: Vectors, t: float = 2) -> float:
    """Log of the mean Gaussian potential of all pairs of different rows of [n, dim]; lower is more uniform.

    Raises:
        ValueError: fewer than two vectors.
    """
    number = len(vectors)
    if number < 2:
        raise ValueError(f"{number} vectors have no pairs: uniformity needs two")
    exact = vectors.astype(np.float64)
    total = sum(_potentials(exact[start : start + BLOCK], exact, t) for start in range(0, number, BLOCK))
    return float(np.log((total - number) / (number * (number - 1))))


def geometry(dataset: Dataset, split: str, space: VectorSpace) -> dict[str, float]:
    """Alignment of the matches of a split, and uniformity of the catalogue; products with nothing to encode left out.

    Raises:
        ValueError: no match of the split has two vectors.
    """
    vectors = space.vectors(list(dataset.products))
    filled = {id: vector for id, vector in zip(dataset.products, vectors, strict=True) if vector.any()}
    matches = [
        (filled[pair.left], filled[pair.right])
        for pair in dataset.pairs
        if pair.same and pair.split == split and pair.left in filled and pair.right in filled
    ]
    if not matches:
        raise ValueError(f"{dataset.name}, split {split!r}: no match has a vector on both sides")
    left, right = (np.stack(side) for side in zip(*matches, strict=True))
    spread = np.stack(list(filled.values()))[:: -(-len(filled) // LARGEST)]
    return {"alignment": alignment(left, right), "uniformity": uniformity(spread)}


def _potentials(block: NDArray[np.float64], vectors: NDArray[np.float64], t: float) -> float:
    """Sum of exp(-t distance^2) over all pairs of a block row and a row; unit vectors, so distance^2 = 2 - 2 cosine."""
    return float(np.exp(2.0 * t * (np.minimum(block @ vectors.T, 1) - 1)).sum())
