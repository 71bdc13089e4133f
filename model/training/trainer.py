"""One run of a training: the steps, and what is around them."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.checkpoint import packed, restore
from model.network import Branch, ProductEncoder
from model.training import distributed
from model.training.batches import BRANCH, Step, sliced
from model.training.checkpoints import Checkpoint, Checkpoints
from model.training.config import TrainConfig
from model.training.embedding import backpropagate
from model.training.logbook import Entry
from model.training.objectives import Objective
from model.training.optimiser import optimiser_of, schedule_of
from model.training.precision import precision_on

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

Validate = Callable[[ProductEncoder], float]
"""The recall of a network, on what decides which checkpoint is best."""


class Diverged(ArithmeticError):
    """The loss is not finite; one line with step and batch."""


class Trainer:
    """Network, objective and optimiser, and how a step changes them."""

    def __init__(
        self, config: TrainConfig, network: ProductEncoder, objective: Objective, device: torch.device
    ) -> None:
        self._config = config
        self._device = device
        self._precision = precision_on(device, config.precision)
        self._network = network.to(device)
        self._objective = objective
        objective.extra.to(device)
        self._optimiser = optimiser_of(config, network, objective.extra)
        self._schedule = schedule_of(config, self._optimiser)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._precision == "fp16")
        self._begun = _begun(network) if config.pretrained_share else []
        self.best, self.since_best = -math.inf, 0

    @property
    def network(self) -> ProductEncoder:
        """The one that trains."""
        return self._network

    @contextmanager
    def as_kept(self) -> Iterator[ProductEncoder]:
        """The network as it is validated and kept; afterwards it trains on from what it was.

        Trained weights of the text encoder are averaged with those that it began with (Wortsman et al., "Robust fine-tuning
        of zero-shot models", 2022).
        """
        trained = [(parameter, parameter.detach().clone()) for parameter, _ in self._begun]
        with torch.no_grad():
            for parameter, begun in self._begun:
                parameter.lerp_(begun, self._config.pretrained_share)
        try:
            yield self._network
        finally:
            with torch.no_grad():
                for parameter, own in trained:
                    parameter.copy_(own)

    def entry(self, number: int, step: Step) -> Entry:
        """Learn from one step; what the log says of it.

        Raises:
            Diverged: the loss is not finite; nothing was changed.
        """
        began, rate = time.perf_counter(), float(self._schedule.get_last_lr()[0])
        loss = self._learn(number, step)
        return Entry(number, loss, rate, time.perf_counter() - began)

    def _learn(self, number: int, step: Step) -> float:
        """Learn from one step; returns its loss.

        Raises:
            Diverged: it is not finite; nothing was changed.
        """
        self._network.train()
        self._network.branch = branch_of(self._config, number)
        chunks = sliced(step, self._config.chunk, self._device)
        slow = self._slow_vectors(chunks, step.labels.pairs)
        labels = step.labels.everywhere(self._device)

        def loss_of(own: Tensor) -> Tensor:
            return self._objective(distributed.gathered_pairs(own, step.labels.pairs), slow, labels)

        def embed(chunk: int) -> Tensor:
            with self._rounded():
                vectors: Tensor = self._network(**chunks[chunk])
            return vectors.float()

        loss = backpropagate(len(chunks), embed, loss_of, self._scaler.scale)
        if not math.isfinite(loss):
            self._optimiser.zero_grad()
            raise Diverged(
                f"the loss is {loss.item()} at step {number} (groups {step.labels.groups[:8].tolist()} …): lower "
                "optimiser.learning_rate or set precision=fp32, and start again; the last good checkpoint is kept"
            )
        self._update()
        self._objective.stepped(self._network, slow, labels, number / self._config.steps)
        return loss.item()

    def state(self, step: int) -> Checkpoint:
        """Everything to go on from."""
        state: dict[str, Any] = {
            "extra": self._objective.extra.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "random": torch.get_rng_state(),
            "best": self.best,
            "since_best": self.since_best,
        }
        return Checkpoint(step=step, fingerprint=self._config.fingerprint(), network=packed(self._network), state=state)

    def load(self, checkpoint: Checkpoint, where: Any) -> None:
        """Go on from there."""
        restore(self._network, checkpoint.network, where)
        state = checkpoint.state
        self._objective.extra.load_state_dict(state["extra"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"])
        self.best, self.since_best = state["best"], state["since_best"]

    @torch.no_grad()
    def _slow_vectors(self, chunks: list[dict[str, Tensor]], pairs: int) -> Tensor | None:
        """Vectors of all rows of all processes by the slow copy, if the objective has one."""
        slow = self._objective.slow
        if slow is None:
            return None
        return distributed.gathered_pairs(torch.cat([slow(**chunk) for chunk in chunks]), pairs)

    def _rounded(self) -> AbstractContextManager[Any]:
        if self._precision == "fp32":
            return nullcontext()
        return torch.autocast(self._device.type, DTYPES[self._precision])

    def _update(self) -> None:
        trained = [parameter for group in self._optimiser.param_groups for parameter in group["params"]]
        distributed.sum_gradients(self._network.parameters())
        distributed.mean_gradients(self._objective.extra.parameters())
        self._scaler.unscale_(self._optimiser)
        torch.nn.utils.clip_grad_norm_(trained, self._config.optimiser.clip)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad()
        self._schedule.step()


def _begun(network: ProductEncoder) -> list[tuple[torch.nn.Parameter, Tensor]]:
    """The parameters of the text encoder that train, each with what it is now."""
    return [
        (parameter, parameter.detach().clone()) for parameter in network.text.parameters() if parameter.requires_grad
    ]


def branch_of(config: TrainConfig, number: int) -> Branch:
    """What a step looks at: the same in every process, for all chunks, and wherever a run goes on."""
    lexical = config.network.lexical
    if lexical is None:
        return "all"
    drawn = np.random.default_rng([config.seed, BRANCH, number]).random()
    if drawn < lexical.dropout:
        return "dense"
    return "lexical" if drawn < lexical.dropout + lexical.alone else "all"


def validated(trainer: Trainer, entry: Entry, checkpoints: Checkpoints, validate: Validate | None) -> Entry:
    """The entry with the recall after its step; the best network so far is kept. Without validation the newest is best."""
    with trainer.as_kept() as network:
        recall = None if validate is None else validate(network)
        trainer.since_best += 1
        if recall is None or recall > trainer.best:
            trainer.best, trainer.since_best = trainer.best if recall is None else recall, 0
            if distributed.rank() == 0:
                checkpoints.save_best(trainer.state(entry.step))
    return dataclasses.replace(entry, recall=recall)
