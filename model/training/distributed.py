"""Several processes that train one network, as torchrun starts them; without it, one process.

Each process embeds its own rows. The loss sees the rows of all, in the order of the processes, so that more processes are a
larger batch, not more small ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def begin(device: str) -> torch.device:
    """Join the other processes, if there are any; returns the device of this one.

    Args:
        device: ``cpu``, ``cuda``, or ``auto`` for CUDA where there is one.
    """
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    if kind == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def end() -> None:
    """Leave the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process; the one with 0 writes files and talks."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def gathered(own: Tensor) -> Tensor:
    """Rows [n, ...] of all processes, in their order; n may differ, and only this process's rows carry a gradient."""
    if size() == 1:
        return own
    sizes = [torch.zeros(1, dtype=torch.int64, device=own.device) for _ in range(size())]
    dist.all_gather(sizes, torch.tensor([len(own)], device=own.device))
    rows = [int(count) for count in sizes]
    padded = own.new_zeros((max(rows), *own.shape[1:]))
    padded[: len(own)] = own.detach()
    everybody = [torch.empty_like(padded) for _ in rows]
    dist.all_gather(everybody, padded)
    parts = [part[:count] for part, count in zip(everybody, rows, strict=True)]
    parts[rank()] = own
    return torch.cat(parts)


def gathered_pairs(own: Tensor, pairs: int) -> Tensor:
    """Rows of a step, of all processes: all anchors, then all positives, then all negatives.

    Args:
        own: [2 * pairs + m, ...]; every process has as many pairs.
        pairs: of this process.
    """
    if size() == 1:
        return own
    parts = (own[:pairs], own[pairs : 2 * pairs], own[2 * pairs :])
    return torch.cat([gathered(part) for part in parts])


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Give every process the sum of all gradients of the network: each has only what its own rows contributed."""
    _join_gradients(parameters, 1)


def mean_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Give every process the mean of all gradients of what takes the rows of all: each has the whole gradient already."""
    _join_gradients(parameters, size())


def wait() -> None:
    """Until every process is here."""
    if size() > 1:
        dist.barrier()


def _join_gradients(parameters: Iterable[torch.nn.Parameter], divisor: int) -> None:
    if size() == 1:
        return
    for parameter in parameters:
        if parameter.requires_grad:
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            dist.all_reduce(gradient)
            parameter.grad = gradient.div_(divisor)
