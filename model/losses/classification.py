"""Which category a vector is of, by the nearest of unit vectors that stand for the categories.

Source: Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning" (2019), equation 3, the normalised softmax
and its temperature; Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (2016), section 7, for the
smoothed labels. NormalizedSoftmaxLoss of pytorch-metric-learning gives the same without smoothing (a test compares them); it
holds the vectors of the categories itself, and has no rows whose category nobody knows.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from model.losses.checks import check_groups, check_rows, check_share, check_temperature, check_vectors
from model.losses.similarity import similarity

UNKNOWN = -1
"""Stands for the category of a row that has none."""


def classified(
    vectors: Tensor, centres: Tensor, categories: Tensor, *, temperature: float = 0.05, smoothing: float = 0.1
) -> Tensor:
    """Mean over the rows with a category of -log(exp(s_ic / t) / sum of exp(s_ik / t) over all categories k), by cosine s.

    Args:
        vectors: [n, dim].
        centres: a vector for each category, [classes, dim].
        categories: int64 [n], the row of ``centres``; ``UNKNOWN`` rows weigh nothing.
        temperature: t, above 0.
        smoothing: share of a label that is spread over all categories alike, in [0, 1].

    Returns:
        Scalar; 0 if no row has a category.

    Raises:
        ValueError: shapes that do not fit, a category that has no centre, or a temperature or share out of range.
    """
    check_vectors(vectors=vectors, centres=centres)
    check_groups(categories=categories)
    check_rows(vectors=vectors, categories=categories)
    check_temperature(temperature)
    check_share("smoothing", smoothing)
    _check_known(categories, len(centres))
    logits = similarity(vectors, centres) / temperature
    total = cross_entropy(logits, categories, ignore_index=UNKNOWN, reduction="sum", label_smoothing=smoothing)
    return total / (categories != UNKNOWN).sum().clamp(min=1)


def _check_known(categories: Tensor, classes: int) -> None:
    outside = categories[(categories < UNKNOWN) | (categories >= classes)]
    if len(outside):
        raise ValueError(
            f"categories has {int(outside[0])}, there are {classes} centres: number them from 0, {UNKNOWN} for none"
        )
