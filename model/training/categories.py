"""Categories as a second task: which products are classified, and the head that does it; serving knows nothing of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from model.bundle import TextSpec
from model.checkpoint import CheckpointError
from model.data.fields import value_of
from model.losses.classification import UNKNOWN, classified
from model.text import product_text
from model.training.config import ConfigError, TrainConfig
from producer.product import Product


class Categories:
    """The categories of the products that a training learns from, numbered in the order of their names."""

    def __init__(self, names: Sequence[str], field: str, hidden: float, text: TextSpec) -> None:
        """Take what decides which products are classified.

        Args:
            names: of the categories; none, and nothing is classified or hidden.
            field: of a product that names its category: ``category``, or ``attributes.NAME``.
            hidden: share of the products whose field is taken out of the text, in [0, 1].
            text: how a product becomes text.
        """
        self.names = names
        self._numbers: Mapping[str, int] = {name: number for number, name in enumerate(names)}
        self._field = field
        self._hidden = hidden
        self._text = text

    def seen(self, product: Product, random: np.random.Generator) -> tuple[Product, int]:
        """The product as the network may read it, and the category that it is to tell from that.

        A text that names the category makes telling it a trivial task. So the field is taken out of some texts, and only
        those are classified: the others have the category ``UNKNOWN``, and keep the network used to what it reads when it
        serves. A text that has nothing else keeps the field.
        """
        number = self._numbers.get(value_of(product, self._field), UNKNOWN)
        if number == UNKNOWN:
            return product, UNKNOWN
        hide = random.random() < self._hidden
        less = _without(product, self._field)
        text = product_text(less, self._text)
        if text == product_text(product, self._text):
            return product, number
        return (less, number) if hide and text.strip() else (product, UNKNOWN)


class CategoryHead(nn.Module):
    """A unit vector for each category; a checkpoint has their names beside them.

    Shape:
        vectors float32 [n, dim], categories int64 [n] -> scalar.
    """

    def __init__(self, names: Sequence[str], dim: int) -> None:
        super().__init__()
        self._names = list(names)
        self.centres = nn.Parameter(normalize(torch.randn(len(names), dim), dim=1))

    def forward(self, vectors: Tensor, categories: Tensor) -> Tensor:
        """The loss of telling the categories from the vectors."""
        return classified(vectors, self.centres, categories)

    def get_extra_state(self) -> list[str]:
        """The names, in the order of the centres."""
        return self._names

    def set_extra_state(self, state: Any) -> None:
        """Compare the names with those of the data.

        Raises:
            CheckpointError: they differ, so that the centres are those of other categories.
        """
        if state != self._names:
            differing = sorted(set(state) ^ set(self._names))[:1] or ["their order"]
            raise CheckpointError(
                f"the checkpoint has {len(state)} categories, the data have {len(self._names)} ({differing[0]!r} differs): "
                "give back the data that the run began with, or name another --out"
            )


def categories_of(config: TrainConfig, products: Iterable[Product]) -> Categories:
    """Those that a configuration wants told; none where it does not want it.

    Raises:
        ConfigError: it does, and the products have no two categories.
    """
    loss = config.loss
    if not loss.category_weight:
        return Categories((), loss.category_field, 0.0, config.text)
    names = sorted({name for product in products if (name := value_of(product, loss.category_field))})
    if len(names) < 2:
        raise ConfigError(
            f"loss.category_weight={loss.category_weight}, but {loss.category_field} of the products has {len(names)} "
            "values: set it to 0, or name sources with categories"
        )
    return Categories(names, loss.category_field, loss.category_hidden, config.text)


def _without(product: Product, field: str) -> Product:
    attribute = _attribute(field)
    if not attribute:
        return msgspec.structs.replace(product, category=None)
    rest = {name: value for name, value in (product.attributes or {}).items() if name != attribute}
    return msgspec.structs.replace(product, attributes=rest or None)


def _attribute(field: str) -> str:
    return field.partition(".")[2]
