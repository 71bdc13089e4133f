"""The softmax that InfoNCE, SimCLR and MoCo share: one right candidate a row among those that count."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def contrast(logits: Tensor, counted: Tensor, right: Tensor) -> Tensor:
    """Mean over the rows of -log(exp(logit of the right one) / sum of exp(logits of all that count)).

    Args:
        logits: similarity / temperature, [n, m].
        counted: bool [n, m], true at least for the right one.
        right: column of the right one, int64 [n].

    Returns:
        Scalar; 0 for no rows.
    """
    return cross_entropy(without(logits, ~counted), right, reduction="sum") / max(len(logits), 1)


def without(logits: Tensor, left_out: Tensor) -> Tensor:
    """Logits [n, m] where ``left_out`` (bool [n, m]) weighs nothing in a softmax; finite, so that an empty row is no NaN."""
    return logits.masked_fill(left_out, torch.finfo(logits.dtype).min)


def diagonal(size: int, device: torch.device) -> Tensor:
    """Bool [size, size], true where row and column are the same."""
    return torch.eye(size, dtype=torch.bool, device=device)
