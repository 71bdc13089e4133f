"""How far the vectors of one bundle are from those of another."""

from __future__ import annotations

import msgspec
import numpy as np

from model.evaluation.comparison import nearest
from model.runtime import Vectors

NEAREST = 10


class Drift(msgspec.Struct, frozen=True):
    """Of a variant's vectors from the reference's.

    Attributes:
        cosine_mean, cosine_min: between both vectors of one text.
        overlap: share of the 10 nearest texts of a text, itself left out, that both have, on average.
        texts: how many were compared.
    """

    cosine_mean: float
    cosine_min: float
    overlap: float
    texts: int


def drift(reference: Vectors, variant: Vectors) -> Drift:
    """Compare unit vectors float32 [n, dim] of the same n texts, which should be distinct.

    Raises:
        ValueError: there are too few for lists of ten.
    """
    if len(reference) <= NEAREST:
        raise ValueError(f"{len(reference)} texts are too few for lists of {NEAREST}: give more, best a thousand")
    cosines = (reference * variant).sum(axis=1)
    (before, _), (after, _) = nearest(reference, NEAREST), nearest(variant, NEAREST)
    shared = [len(set(a) & set(b)) for a, b in zip(before, after, strict=True)]
    return Drift(float(cosines.mean()), float(cosines.min()), float(np.mean(shared)) / NEAREST, len(reference))
