"""Draws products and changes of them, the same for the same seed."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from ledger import State, Vector

WEIGHTS = {"create": 8, "delete": 8, "edit": 22, "reprice": 42, "flip": 12, "repeat": 8}
CLUSTERS, SPREAD = 60, 0.5


class Assortment:
    """Knows what it has drawn: about as many products come as go, and some of those that went come back."""

    def __init__(self, seed: int, dim: int) -> None:
        self._random = np.random.default_rng(seed)
        self._centres = self._random.normal(size=(CLUSTERS, dim))
        self._shares = self._random.dirichlet(np.full(CLUSTERS, 0.7))
        self._versions = itertools.count(1)
        self._ids = (f"p{number}" for number in itertools.count())
        self._drawn: dict[str, State] = {}
        self._order: list[str] = []
        self._gone: list[str] = []
        self._actions = list(WEIGHTS)
        self._chances = np.array(list(WEIGHTS.values())) / sum(WEIGHTS.values())

    def create(self) -> State:
        """A product that there is not; one in four was there before."""
        back = self._gone and self._random.random() < 0.25
        state = self.fresh(self._gone.pop() if back else next(self._ids))
        self._drawn[state.id] = state
        self._order.append(state.id)
        return state

    def fresh(self, id: str) -> State:
        """A first or new state under an id, which is not drawn from later."""
        return State(id, next(self._versions), self._price(), True, self._vector())

    def change(self) -> tuple[str, State | None]:
        """What happens next: an id and its new state, None when it is deleted."""
        action = str(self._random.choice(self._actions, p=self._chances))
        if action == "create":
            created = self.create()
            return created.id, created
        at = int(self._random.integers(len(self._order)))
        id = self._order[at]
        if action == "delete":
            return self._delete(at)
        self._drawn[id] = self._changed(self._drawn[id], action)
        return id, self._drawn[id]

    def _delete(self, at: int) -> tuple[str, None]:
        id = self._order[at]
        self._order[at] = self._order[-1]
        self._order.pop()
        del self._drawn[id]
        self._gone.append(id)
        return id, None

    def _changed(self, state: State, action: str) -> State:
        if action == "repeat":
            return state
        version = next(self._versions)
        if action == "edit":
            return dataclasses.replace(state, version=version, vector=self._vector())
        if action == "flip":
            return dataclasses.replace(state, version=version, available=not state.available)
        return dataclasses.replace(state, version=version, price=self._price())

    def _price(self) -> float:
        return round(float(self._random.uniform(1, 500)), 2)

    def _vector(self) -> Vector:
        centre = self._centres[self._random.choice(CLUSTERS, p=self._shares)]
        made: Vector = np.round(centre + SPREAD * self._random.normal(size=len(centre)), 4).astype(np.float32)
        return made
