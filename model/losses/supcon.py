"""Supervised contrastive loss: SupConLoss of pytorch-metric-learning.

Source: Khosla et al., "Supervised Contrastive Learning" (2020), equation 2 (L_out: the mean over positives is outside the
logarithm).
"""

from __future__ import annotations

import torch
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.losses import SupConLoss
from pytorch_metric_learning.reducers import MeanReducer
from torch import Tensor

from model.losses.checks import check_groups, check_rows, check_temperature, check_vectors
from model.losses.similarity import Metric, check_metric, full, unit


def supcon(embeddings: Tensor, groups: Tensor, *, temperature: float = 0.07, metric: Metric = "cosine") -> Tensor:
    """Every other row of its group is a positive of a row; all other rows are in the denominator.

    Args:
        embeddings: [n, dim].
        groups: int64 [n].
        temperature: divides similarities, above 0.
        metric: compares vectors.

    Returns:
        Scalar, the mean over the rows that have a positive, each weighed alike; 0 if none has, or if all rows are of one
        group: then nothing is to be told apart.

    Raises:
        ValueError: shapes that do not fit, or a temperature that is not above 0.
    """
    check_vectors(embeddings=embeddings)
    check_groups(groups=groups)
    check_rows(embeddings=embeddings, groups=groups)
    check_temperature(temperature)
    check_metric(metric)
    distance = CosineSimilarity() if metric == "cosine" else LpDistance(normalize_embeddings=False, power=2)
    loss = SupConLoss(temperature=temperature, distance=distance, reducer=MeanReducer())
    with torch.autocast(embeddings.device.type, enabled=False):
        mean: Tensor = loss(unit(embeddings) if metric == "cosine" else full(embeddings), groups)
    return mean * len(groups) / _with_positive(groups).clamp(min=1)


def _with_positive(groups: Tensor) -> Tensor:
    """How many rows have a positive. The library's own reducer leaves out rows by loss 0 instead: also those well learnt."""
    return ((groups[:, None] == groups).sum(dim=1) > 1).sum()
