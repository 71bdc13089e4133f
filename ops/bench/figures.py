"""What a contender says about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """Totals since the start; None is what a contender does not know or have."""

    distances: int | None = None
    """Computed to find the lists that change, without those inside an index."""
    rewritten: int | None = None
    """Lists whose first k changed, each once a batch."""
    nbytes: int | None = None
    """Held above vectors and index."""
