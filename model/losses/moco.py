"""Momentum contrast: negatives come from a queue of keys of earlier batches.

Source: He et al., "Momentum Contrast for Unsupervised Visual Representation Learning" (2020), equations 1 and 2, algorithm 1.
CrossBatchMemory of pytorch-metric-learning has no momentum encoder, and the place of its next key is in no checkpoint.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.losses.checks import check_groups, check_rows, check_share, check_temperature, check_vectors
from model.losses.contrast import contrast
from model.losses.similarity import Metric, full, similarity


def moco(
    queries: Tensor,
    keys: Tensor,
    groups: Tensor,
    queue: Tensor,
    queue_groups: Tensor,
    *,
    temperature: float = 0.07,
    metric: Metric = "cosine",
) -> Tensor:
    """Each query finds its key among that and the queue; whatever the queue holds of its own group is left out.

    Args:
        queries: by the encoder that is trained, [n, dim].
        keys: by the momentum encoder, [n, dim]; row i is another view of query i. No gradient goes there.
        groups: int64 [n].
        queue: earlier keys, [m, dim]; m may be 0.
        queue_groups: int64 [m].
        temperature: divides similarities, above 0.
        metric: compares vectors.

    Returns:
        Scalar, the mean over the queries; 0 for none, or where no negative is left.

    Raises:
        ValueError: shapes that do not fit, or a temperature that is not above 0.
    """
    check_vectors(queries=queries, keys=keys, queue=queue)
    check_groups(groups=groups, queue_groups=queue_groups)
    check_rows(queries=queries, keys=keys, groups=groups)
    check_rows(queue=queue, queue_groups=queue_groups)
    check_temperature(temperature)
    own = similarity(queries, keys.detach(), metric).diagonal()[:, None]
    others = similarity(queries, queue.detach(), metric)
    counted = torch.cat([torch.ones_like(own, dtype=torch.bool), groups[:, None] != queue_groups], dim=1)
    return contrast(torch.cat([own, others], dim=1) / temperature, counted, torch.zeros_like(groups, dtype=torch.int64))


class Queue(nn.Module):
    """The last ``size`` keys and their groups, oldest out first; all of it is in the state dict, so that training resumes."""

    keys: Tensor
    """float32 [size, dim]; what is not filled yet is 0."""
    groups: Tensor
    """int64 [size]."""
    pushed: Tensor
    """Keys pushed so far, int64 []: says which place is next."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        if size < 1 or dim < 1:
            raise ValueError(f"size is {size} and dim is {dim}, both must be above 0: 4096 keys are a good start")
        self.register_buffer("keys", torch.zeros(size, dim))
        self.register_buffer("groups", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    def __len__(self) -> int:
        """Keys held."""
        return min(int(self.pushed), len(self.keys))

    def held(self) -> tuple[Tensor, Tensor]:
        """A copy of the keys float32 [m, dim] and groups int64 [m], in no order."""
        return self.keys[: len(self)].clone(), self.groups[: len(self)].clone()

    def push(self, keys: Tensor, groups: Tensor) -> None:
        """Take in keys [n, dim] with groups [n] once the loss of the batch is made; of more than the size, the last.

        Raises:
            ValueError: shapes that do not fit.
        """
        check_vectors(queue=self.keys, keys=keys)
        check_groups(groups=groups)
        check_rows(keys=keys, groups=groups)
        size = len(self.keys)
        places = (self.pushed + torch.arange(len(keys), device=self.keys.device))[-size:] % size
        self.keys[places] = full(keys.detach())[-size:].to(self.keys)
        self.groups[places] = groups[-size:].to(self.groups)
        self.pushed += len(keys)


@torch.no_grad()
def momentum_update(online: nn.Module, target: nn.Module, momentum: float) -> None:
    """Move each parameter of the target: target = momentum * target + (1 - momentum) * online. Buffers are copied.

    Args:
        online: the network that is trained.
        target: a copy of it that no optimiser knows.
        momentum: in [0, 1]; 0.999 in MoCo, ``byol.target_momentum`` in BYOL.

    Raises:
        ValueError: a momentum outside [0, 1], or networks of two shapes; the target is as it was.
    """
    check_share("momentum", momentum)
    ours, theirs = _tensors(online), _tensors(target)
    differing = [name for name in ours.keys() | theirs.keys() if _shape(ours, name) != _shape(theirs, name)]
    if differing:
        raise ValueError(f"target differs from online in {min(differing)}: make the target by copy.deepcopy(online)")
    for name, value in theirs.items():
        if isinstance(value, nn.Parameter):
            value.lerp_(ours[name].to(value), 1 - momentum)
        else:
            value.copy_(ours[name])


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, shared ones once."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _shape(state: dict[str, Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None
