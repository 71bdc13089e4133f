"""The scripts under ops are imported by name, from each other's folders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

OPS = Path(__file__).resolve().parents[2] / "ops"


def test_no_two_modules_have_the_same_name() -> None:
    names = Counter(path.stem for path in OPS.rglob("*.py") if path.stem != "__init__")
    assert [name for name, files in names.items() if files > 1] == []
