"""A network in training as an encoder of products, for validation and mining; serving uses model.runtime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from model.network import ProductEncoder, device_of
from model.training.batches import Collator
from producer.product import Product

ROWS = 64


class NetworkEncoder:
    """Encodes with the network as it is at the moment of the call; one of model.evaluation.bundles.Encoder."""

    def __init__(self, network: ProductEncoder, collator: Collator) -> None:
        self._network = network
        self._collator = collator

    @property
    def wants_images(self) -> bool:
        """Whether it reads images."""
        return self._collator.reads_images

    @torch.no_grad()
    def encode(self, products: Sequence[Product], images: Sequence[bytes | None] | None = None) -> NDArray[np.float32]:
        """Unit vectors float32 [n, dim] of products [n]."""
        self._network.eval()
        device = device_of(self._network)
        given = [None] * len(products) if images is None else images
        vectors = np.empty((len(products), self._network.config.dim), np.float32)
        order = sorted(range(len(products)), key=lambda row: len(products[row].title or ""))
        for start in range(0, len(order), ROWS):
            rows = order[start : start + ROWS]
            inputs = self._collator.inputs([products[row] for row in rows], [given[row] for row in rows])
            found = self._network(**{name: tensor.to(device) for name, tensor in inputs.items()})
            vectors[rows] = found.float().cpu().numpy()
        return vectors
