"""NT-Xent between two views of each sample.

Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (2020), equation 1, algorithm 1.
SelfSupervisedLoss(NTXentLoss()) of pytorch-metric-learning gives the same for distinct groups (a test compares them);
model.losses.infonce says why it is not called.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.losses.checks import check_groups, check_rows, check_temperature, check_vectors
from model.losses.contrast import contrast, diagonal
from model.losses.similarity import Metric, joined, similarity


def simclr(
    first: Tensor, second: Tensor, groups: Tensor, *, temperature: float = 0.07, metric: Metric = "cosine"
) -> Tensor:
    """Each of the 2n views finds the other view of its sample among all views but itself.

    Other samples of its group are left out, so that they are never negatives; the paper has no groups: give each row its own.

    Args:
        first: one view of each sample, [n, dim].
        second: the other view, [n, dim].
        groups: int64 [n].
        temperature: divides similarities, above 0.
        metric: compares vectors.

    Returns:
        Scalar, the mean over all views; 0 for no samples, or where no negative is left.

    Raises:
        ValueError: shapes that do not fit, or a temperature that is not above 0.
    """
    check_vectors(first=first, second=second)
    check_groups(groups=groups)
    check_rows(first=first, second=second, groups=groups)
    check_temperature(temperature)
    views, of_views = joined(first, second), torch.cat([groups, groups])
    partners = torch.arange(len(views), device=views.device).roll(len(first))
    counted = (of_views[:, None] != of_views) | diagonal(len(views), views.device)[partners]
    return contrast(similarity(views, views, metric) / temperature, counted, partners)
