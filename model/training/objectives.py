"""What a step minimises: a loss of model.losses, with what it needs beside the network."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from model.losses.byol import Predictor, byol, target_momentum
from model.losses.infonce import info_nce
from model.losses.matryoshka import matryoshka
from model.losses.moco import Queue, moco, momentum_update
from model.losses.registry import LOSSES
from model.training.categories import CategoryHead
from model.training.config import LossConfig
from model.training.labels import Labels


class Objective(Protocol):
    """A loss of the vectors of a batch: anchors first, then as many positives, then negatives if there are any."""

    slow: nn.Module | None
    """A slowly moving copy of the network whose vectors of the batch the loss wants, too."""
    extra: nn.Module
    """What trains, or is stored, beside the network."""

    def __call__(self, vectors: Tensor, slow: Tensor | None, labels: Labels) -> Tensor:
        """The loss of vectors [2 * pairs + m, dim] with labels of all; ``slow`` as ``vectors``, by the copy."""

    def stepped(self, network: nn.Module, slow: Tensor | None, labels: Labels, progress: float) -> None:
        """After a step of the optimiser; ``progress`` from 0 to 1."""


class InBatch:
    """Negatives are the other members of the batch, and mined or labelled ones for infonce."""

    slow: nn.Module | None = None

    def __init__(self, config: LossConfig) -> None:
        self.extra: nn.Module = nn.Module()
        self._config = config
        loss = info_nce if config.name == "infonce" else LOSSES[config.name]
        self._loss: Any = matryoshka(loss, config.sizes) if config.sizes else loss

    def __call__(self, vectors: Tensor, slow: Tensor | None, labels: Labels) -> Tensor:
        """The loss named."""
        groups, pairs = labels.groups, labels.pairs
        first, second, rest = vectors[:pairs], vectors[pairs : 2 * pairs], vectors[2 * pairs :]
        settings: dict[str, Any] = {"temperature": self._config.temperature, "metric": self._config.metric}
        if self._config.name == "infonce":
            settings |= {"negatives": rest, "negative_groups": groups[2 * pairs :]}
        loss: Tensor = self._loss(first, second, groups[:pairs], **settings)
        return loss

    def stepped(self, network: nn.Module, slow: Tensor | None, labels: Labels, progress: float) -> None:
        """Nothing moves beside the network."""


class Moco:
    """Negatives are the keys of earlier batches."""

    def __init__(self, config: LossConfig, network: nn.Module, dim: int) -> None:
        self._config = config
        self.slow: nn.Module | None = _copy(network)
        self._queue = Queue(config.queue, dim)
        self.extra: nn.Module = nn.ModuleDict({"queue": self._queue, "slow": self.slow})

    def __call__(self, vectors: Tensor, slow: Tensor | None, labels: Labels) -> Tensor:
        """Each view finds the slow copy's vector of the other among the keys of earlier batches."""
        assert slow is not None
        queue, queued = self._queue.held()
        settings: dict[str, Any] = {"temperature": self._config.temperature, "metric": self._config.metric}
        rows = slice(0, 2 * labels.pairs)
        keys = slow[rows].roll(labels.pairs, 0)  # each view's key is the other view
        return moco(vectors[rows], keys, labels.groups[rows], queue, queued, **settings)

    def stepped(self, network: nn.Module, slow: Tensor | None, labels: Labels, progress: float) -> None:
        """Remember the keys, and move the copy."""
        assert slow is not None
        assert self.slow is not None
        rows = slice(0, 2 * labels.pairs)
        self._queue.push(slow[rows], labels.groups[rows])
        momentum_update(network, self.slow, self._config.momentum)


class Byol:
    """No negatives: a predictor finds what a slow copy gives for the other view."""

    def __init__(self, config: LossConfig, network: nn.Module, dim: int) -> None:
        self._config = config
        self.slow: nn.Module | None = _copy(network)
        self._predictor = Predictor(dim, 2 * dim)
        self.extra: nn.Module = nn.ModuleDict({"predictor": self._predictor, "slow": self.slow})

    def __call__(self, vectors: Tensor, slow: Tensor | None, labels: Labels) -> Tensor:
        """Each view predicts the slow copy's vector of the other."""
        assert slow is not None
        first, second = slice(0, labels.pairs), slice(labels.pairs, 2 * labels.pairs)
        return byol(self._predictor(vectors[first]), self._predictor(vectors[second]), slow[first], slow[second])

    def stepped(self, network: nn.Module, slow: Tensor | None, labels: Labels, progress: float) -> None:
        """Move the copy, more slowly with every step."""
        assert self.slow is not None
        momentum = target_momentum(round(progress * 1_000_000), 1_000_000, self._config.momentum)
        momentum_update(network, self.slow, momentum)


class WithCategories:
    """Another objective, and beside it the category of each product that is to tell its own."""

    def __init__(self, first: Objective, weight: float, names: Sequence[str], dim: int) -> None:
        self._first = first
        self._weight = weight
        self._head = CategoryHead(names, dim)
        self.slow: nn.Module | None = first.slow
        self.extra: nn.Module = nn.ModuleDict({"first": first.extra, "head": self._head})

    def __call__(self, vectors: Tensor, slow: Tensor | None, labels: Labels) -> Tensor:
        """The sum of both."""
        told: Tensor = self._head(vectors, labels.categories)
        return self._first(vectors, slow, labels) + self._weight * told

    def stepped(self, network: nn.Module, slow: Tensor | None, labels: Labels, progress: float) -> None:
        """The head moves with the optimiser."""
        self._first.stepped(network, slow, labels, progress)


def objective(config: LossConfig, network: nn.Module, dim: int, categories: Sequence[str] = ()) -> Objective:
    """The one that the configuration names, for vectors of ``dim`` numbers; ``categories`` are the names of those to tell."""
    first = _first(config, network, dim)
    return WithCategories(first, config.category_weight, categories, dim) if categories else first


def _first(config: LossConfig, network: nn.Module, dim: int) -> Objective:
    if config.name == "moco":
        return Moco(config, network, dim)
    if config.name == "byol":
        return Byol(config, network, dim)
    return InBatch(config)


def _copy(network: nn.Module) -> nn.Module:
    copied = copy.deepcopy(network)
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    return copied
