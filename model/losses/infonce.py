"""InfoNCE with in-batch negatives, symmetric.

Source: van den Oord et al., "Representation Learning with Contrastive Predictive Coding" (2018), equation 4; NT-Xent of Chen
et al., "A Simple Framework for Contrastive Learning of Visual Representations" (2020), with two sides for two views.

NTXentLoss of pytorch-metric-learning gives the same (a test compares them) but holds each positive pair against every
negative pair of the batch, n^3 numbers where this one holds n^2: 256 pairs of 384 numbers with gradient took 1.2 s and
430 MiB against 0.02 s and 20 MiB (one CPU thread), and 1,024 pairs would take 4 GB a copy. Its exponentials also underflow
where a negative is more than 100 temperatures ahead, and the gradient is lost just there (a test shows it).
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.losses.checks import check_groups, check_rows, check_temperature, check_vectors
from model.losses.contrast import contrast
from model.losses.similarity import Metric, joined, similarity


def info_nce(
    anchors: Tensor,
    positives: Tensor,
    groups: Tensor,
    negatives: Tensor | None = None,
    negative_groups: Tensor | None = None,
    *,
    temperature: float = 0.07,
    metric: Metric = "cosine",
) -> Tensor:
    """Each anchor finds its positive among all positives and the extra negatives, and each positive its anchor.

    Whatever has the group of the anchor is never its negative: it is left out, not pushed away.

    Args:
        anchors: [n, dim].
        positives: [n, dim]; row i is the partner of anchor i.
        groups: int64 [n], of both rows i.
        negatives: [m, dim], such as mined ones; none by default.
        negative_groups: int64 [m], given if ``negatives`` is.
        temperature: divides similarities, above 0.
        metric: compares vectors.

    Returns:
        Scalar, the mean of both directions; 0 for no pairs, or where no negative is left.

    Raises:
        ValueError: shapes that do not fit, or a temperature that is not above 0.
    """
    if (negatives is None) != (negative_groups is None):
        missing = "negatives" if negatives is None else "negative_groups"
        raise ValueError(f"{missing} is None, its partner is not: give both or none of negatives and negative_groups")
    extra = anchors[:0] if negatives is None else negatives
    extra_groups = groups[:0] if negative_groups is None else negative_groups
    check_vectors(anchors=anchors, positives=positives, negatives=extra)
    check_groups(groups=groups, negative_groups=extra_groups)
    check_rows(anchors=anchors, positives=positives, groups=groups)
    check_rows(negatives=extra, negative_groups=extra_groups)
    check_temperature(temperature)
    all_groups = torch.cat([groups, extra_groups])
    forth = similarity(anchors, joined(positives, extra), metric) / temperature
    back = similarity(positives, joined(anchors, extra), metric) / temperature
    return (_found(forth, groups, all_groups) + _found(back, groups, all_groups)) / 2


def _found(logits: Tensor, groups: Tensor, all_groups: Tensor) -> Tensor:
    """Contrast of logits [n, n + m] whose right candidates are on the diagonal."""
    own = torch.arange(len(groups), device=groups.device)
    counted = groups[:, None] != all_groups
    counted[own, own] = True
    return contrast(logits, counted, own)
