"""The suite's modules are scripts that import each other by name; its stories come after all other tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

OPS = Path(__file__).resolve().parents[2] / "ops"
for folder in (OPS / "local", OPS / "chaos"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
