"""The benchmark's modules are scripts that import each other by name."""

from __future__ import annotations

import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "ops" / "bench"
if str(BENCH) not in sys.path:
    sys.path.append(str(BENCH))
