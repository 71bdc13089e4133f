"""AdamW over groups of parameters, a learning rate each, warmed up and brought down along a cosine."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from model.network import ProductEncoder
from model.training.config import TrainConfig


def optimiser_of(config: TrainConfig, network: ProductEncoder, extra: nn.Module) -> torch.optim.AdamW:
    """One for everything that trains: pretrained parts, new ones, and the weights of n-grams."""
    settings = config.optimiser
    lexical = {id(parameter) for parameter in network.lexical.parameters()} if network.lexical else set[int]()
    pretrained = {id(parameter) for part in _pretrained(config, network) for parameter in part.parameters()}
    groups: dict[str, list[nn.Parameter]] = {"pretrained": [], "new": [], "lexical": []}
    for parameter in _trained(network, extra):
        kind = "lexical" if id(parameter) in lexical else "pretrained" if id(parameter) in pretrained else "new"
        groups[kind].append(parameter)
    rates = {
        "pretrained": (settings.learning_rate, settings.weight_decay),
        "new": (settings.new_learning_rate, settings.weight_decay),
        "lexical": (settings.lexical_learning_rate, 0.0),
    }
    return torch.optim.AdamW(
        {"params": groups[kind], "lr": rate, "weight_decay": decay}
        for kind, (rate, decay) in rates.items()
        if groups[kind]
    )


def schedule_of(config: TrainConfig, optimiser: torch.optim.Optimizer) -> LambdaLR:
    """Up along a line, down along a cosine (Loshchilov & Hutter, "SGDR", 2017), by step."""
    rising = max(1, round(config.optimiser.warmup * config.steps))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return (1 + math.cos(math.pi * (step - rising) / max(1, config.steps - rising))) / 2

    return LambdaLR(optimiser, factor)


def _pretrained(config: TrainConfig, network: ProductEncoder) -> Iterable[nn.Module]:
    """The parts that did not begin at random."""
    if getattr(config.network.text, "source", ""):
        yield network.text
    if network.image is not None and config.network.image is not None and config.network.image.source:
        yield network.image


def _trained(network: nn.Module, extra: nn.Module) -> Iterable[nn.Parameter]:
    for module in (network, extra):
        yield from (parameter for parameter in module.parameters() if parameter.requires_grad)
