"""Backpropagation through batches larger than memory.

Source: Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", 2021 (gradient cache): all
chunks are embedded without a graph, the loss gives the gradient of the embeddings, and each chunk is embedded once more to
carry its part of that on to the parameters. The gradients are those of the whole batch, which gradient accumulation over
smaller batches is not: a contrastive loss depends on every other member of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Embed = Callable[[int], Tensor]
"""Chunk number -> embeddings [rows of that chunk, dim]."""
Loss = Callable[[Tensor], Tensor]
"""Embeddings [n, dim] of all chunks -> a scalar."""


def backpropagate(chunks: int, embed: Embed, loss_of: Loss, scale: Callable[[Tensor], Tensor]) -> Tensor:
    """Add the gradients of the loss over all chunks to the parameters.

    Args:
        chunks: how many there are; one is embedded only once.
        embed: called in the order of the chunks.
        loss_of: of all embeddings.
        scale: applied to the loss before it is differentiated, as mixed precision in half floats needs it.

    Returns:
        The loss, detached.
    """
    if chunks == 1:
        loss = loss_of(embed(0))
        scale(loss).backward()
        return loss.detach()
    states, parts = _embedded(chunks, embed)
    whole = torch.cat(parts).detach().requires_grad_()
    loss = loss_of(whole)
    scale(loss).backward()
    assert whole.grad is not None
    gradients = whole.grad.split([len(part) for part in parts])
    for chunk, (state, gradient) in enumerate(zip(states, gradients, strict=True)):
        _set_state(state)
        embed(chunk).backward(gradient)
    return loss.detach()


def _embedded(chunks: int, embed: Embed) -> tuple[Sequence[list[Tensor]], list[Tensor]]:
    """All chunks without a graph, and the state of the random numbers before each: dropout must be the same again."""
    states, parts = [], []
    with torch.no_grad():
        for chunk in range(chunks):
            states.append(_state())
            parts.append(embed(chunk))
    return states, parts


def _state() -> list[Tensor]:
    """Of the CPU, and of the current GPU if there is one."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else [])]


def _set_state(state: list[Tensor]) -> None:
    torch.set_rng_state(state[0])
    for cuda in state[1:]:
        torch.cuda.set_rng_state(cuda)
