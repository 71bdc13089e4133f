"""Vectors and groups for losses. Torch is imported inside, so that mining is tested without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def vectors() -> Callable[..., Any]:
    """``vectors(rows, dim=6, seed=3)`` -> float64 [rows, dim], normally distributed, wanting a gradient."""
    torch = pytest.importorskip("torch")

    def make(rows: int, dim: int = 6, seed: int = 3) -> Any:
        source = torch.Generator().manual_seed(seed)
        return torch.randn(rows, dim, generator=source, dtype=torch.float64).requires_grad_()

    return make
