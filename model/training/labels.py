"""What is known of the rows of a step, beside what the network reads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.training import distributed


@dataclass(frozen=True, slots=True)
class Labels:
    """Of anchors, as many positives, then negatives.

    Attributes:
        groups: int64 [2 * pairs + m]; same number, same product.
        categories: int64 [2 * pairs + m]; ``UNKNOWN`` of model.losses.classification where there is nothing to tell.
        pairs: how many anchors there are.
    """

    groups: Tensor
    categories: Tensor
    pairs: int

    def everywhere(self, device: torch.device) -> Labels:
        """Those of the rows of all processes, on the device: all anchors, then all positives, then all negatives."""
        groups, categories = (
            distributed.gathered_pairs(own.to(device), self.pairs) for own in (self.groups, self.categories)
        )
        return Labels(groups, categories, len(distributed.gathered(self.groups[: self.pairs].to(device))))
