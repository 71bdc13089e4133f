"""BYOL: predict the vector that a slowly moving copy of the network gives for another view; no negatives.

Source: Grill et al., "Bootstrap Your Own Latent" (2020), equation 2, and its implementation details for the predictor and the
momentum of the target. No library that is used here has it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from model.losses.checks import check_rows, check_share, check_vectors
from model.losses.similarity import unit


def byol(first: Tensor, second: Tensor, first_target: Tensor, second_target: Tensor) -> Tensor:
    """Mean of |p1 - t2|^2 + |p2 - t1|^2 over unit vectors, which is 4 - 2 cos(p1, t2) - 2 cos(p2, t1).

    The cosine and the Euclidean variant are thereby one.

    Args:
        first: predictions p1 for the first view, [n, dim].
        second: predictions p2 for the second view, [n, dim].
        first_target: vectors t1 of the target network for the first view, [n, dim]. No gradient goes there.
        second_target: t2, [n, dim].

    Returns:
        Scalar in [0, 8]; 0 for no rows.

    Raises:
        ValueError: shapes that do not fit.
    """
    given = {"first": first, "second": second, "first_target": first_target, "second_target": second_target}
    check_vectors(**given)
    check_rows(**given)
    return (_missed(first, second_target) + _missed(second, first_target)) / max(len(first), 1)


def _missed(predictions: Tensor, targets: Tensor) -> Tensor:
    return (unit(predictions) - unit(targets.detach())).square().sum()


class Predictor(nn.Module):
    """Linear, batch norm, ReLU, linear: [n, dim] -> [n, dim]; 4,096 hidden units in the paper."""

    def __init__(self, dim: int, hidden: int = 4096) -> None:
        super().__init__()
        self.widen = nn.Linear(dim, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.narrow = nn.Linear(hidden, dim)

    def forward(self, vectors: Tensor) -> Tensor:
        """Predict the target's vectors of the other view."""
        wide = self.widen(vectors)
        predicted: Tensor = self.narrow(torch.relu(self._alone(wide) if len(wide) < 2 else self.norm(wide)))
        return predicted

    def _alone(self, wide: Tensor) -> Tensor:
        """One row has no spread to be divided by: the running statistics serve instead."""
        norm = self.norm
        return batch_norm(wide, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


def target_momentum(step: int, steps: int, base: float = 0.996) -> float:
    """The momentum of the target at a step from 0 to ``steps``: along a cosine from ``base`` to 1. For ``momentum_update``.

    Raises:
        ValueError: a step outside the training, or a base outside [0, 1].
    """
    check_share("base", base)
    if not 0 <= step <= steps or steps < 1:
        raise ValueError(f"step is {step} of {steps}, must lie in [0, steps]: give the length of the whole training")
    return 1 - (1 - base) * (math.cos(math.pi * step / steps) + 1) / 2
