"""The graph against the network it came from: same vectors, alone and in any batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.errors import ModelError
from model.export.onnx_file import Shortened, sample
from model.network import ProductEncoder

LARGEST_DIFFERENCE = 1e-4
MIXTURE = (2, 3, 5, 8, 13, 21, 34)
"""Lengths of the texts of one batch."""


class ExportError(ModelError):
    """A bundle that must not be used; one line that says why."""


def largest_difference(network: ProductEncoder, file: Path, dim: int | None = None) -> float:
    """The largest difference in any number of a vector between ONNX Runtime and torch.

    Batches of one and of many, of the shortest and of the longest texts, and each text of a batch alone against itself in the
    batch; for a network that reads images all mixtures of what is missing.
    """
    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    longest = network.config.max_tokens
    mixture = tuple(min(length, longest) for length in MIXTURE)
    return max(
        _difference(network, session, sample(network, lengths, seed), dim)
        for seed, lengths in enumerate([(2,), (longest,), mixture, (*mixture, longest), (2, 2)])
    )


def check(network: ProductEncoder, file: Path, dim: int | None = None) -> float:
    """The largest difference, which must be small.

    Raises:
        ExportError: it is not.
    """
    found = largest_difference(network, file, dim)
    if not found <= LARGEST_DIFFERENCE:  # also when it is not a number
        raise ExportError(
            f"{file.name} differs from the network by {found:.1e}, at most {LARGEST_DIFFERENCE:.0e} is allowed: "
            "is the network in evaluation mode, and are its weights finite?"
        )
    return found


def _difference(
    network: ProductEncoder, session: ort.InferenceSession, inputs: dict[str, Tensor], dim: int | None
) -> float:
    with torch.inference_mode():
        expected = Shortened(network, dim or network.config.dim)(**inputs).numpy()
    feed = {name: tensor.numpy() for name, tensor in inputs.items()}
    together = _run(session, feed)
    alone = np.concatenate([_run(session, _row(feed, row)) for row in range(len(expected))])
    return float(np.maximum(np.abs(together - expected), np.abs(alone - expected)).max())


def _row(feed: dict[str, NDArray[Any]], row: int) -> dict[str, NDArray[Any]]:
    """One row of a batch without its padding."""
    one = {name: array[row : row + 1] for name, array in feed.items()}
    length = int(one["attention_mask"].sum())
    return one | {name: one[name][:, :length] for name in ("input_ids", "attention_mask")}


def _run(session: ort.InferenceSession, feed: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    (vectors,) = session.run(["vector"], feed)
    return np.asarray(vectors, np.float32)
