"""What every system is to the evaluation: something that scores candidates for queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from producer.events import Product

Scores: TypeAlias = NDArray[np.float32]
Vectors: TypeAlias = NDArray[np.float32]
Modality = Literal["text", "image", "both"]

Scorer: TypeAlias = Callable[[slice], Scores]
"""``scorer(rows)`` gives the scores float32 [rows, candidates] of these queries; more is nearer."""


class Space(Protocol):
    """Products made ready to be compared."""

    def scorer(self, queries: Sequence[str], candidates: Sequence[str]) -> Scorer:
        """Score all candidates for each query; both are ids of its products."""


@runtime_checkable
class VectorSpace(Space, Protocol):
    """A space whose scores are cosine similarities of vectors."""

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Unit vectors float32 [n, dim]; zeros for a product that has nothing to encode."""


class Ranker(Protocol):
    """Makes any products comparable; what it learns from texts, such as weights of words, it learns from those given."""

    @property
    def modalities(self) -> frozenset[Modality]:
        """What of a product it can use."""

    def over(self, products: Sequence[Product]) -> Space:
        """Make products ready, those that are queries and those that are candidates together."""


@dataclass(frozen=True, slots=True)
class System:
    """A row of the report: a name, what it ranks with, and whether it is there to be beaten."""

    name: str
    ranker: Ranker
    baseline: bool = False


def view(product: Product, modality: Modality) -> Product:
    """The product with only what the modality may use; ``image`` keeps no text at all."""
    if modality == "text":
        return msgspec.structs.replace(product, image=None)
    return Product(id=product.id, image=product.image) if modality == "image" else product


def space_of(system: System, products: Iterable[Product], modality: Modality) -> Space:
    """The products as the system compares them, with only what the modality may use."""
    return system.ranker.over([view(product, modality) for product in products])
