"""The fuzzer's modules are scripts that import each other by name."""

from __future__ import annotations

import sys
from pathlib import Path

FUZZ = Path(__file__).resolve().parents[2] / "ops" / "fuzz"
if str(FUZZ) not in sys.path:
    sys.path.append(str(FUZZ))
