"""Products to measure with: a real catalogue where one lies beside the checkout, else made of real words."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT.parent / "shared" / "data" / "fashion_catalog_44k" / "products.jsonl.gz"
sys.path.insert(0, str(ROOT / "ops" / "demo"))

Product = dict[str, Any]


def real_products(wanted: int) -> list[Product]:
    """So many products with short texts; their titles are real, or mixed from real titles."""
    if CATALOGUE.exists():
        with gzip.open(CATALOGUE) as lines:
            return [json.loads(line) for line in itertools.islice(lines, wanted)]
    return list(itertools.islice(_mixed(), wanted))


def _mixed() -> Iterator[Product]:
    from demo_products import fetch  # the demo's products  # noqa: PLC0415

    real = fetch(ROOT / ".local")
    chance = random.Random(1)
    for number in itertools.count():
        one, other = chance.choice(real), chance.choice(real)
        words = one["title"].split()[:6] + other["title"].split()[-4:]
        yield {"id": f"m{number}", "title": " ".join(words), "category": one["category"]}


def with_vectors(n: int, dim: int, seed: int = 0) -> Iterator[Product]:
    """Products that bring their own vector, in uneven clusters as the vectors of texts lie."""
    random_ = np.random.default_rng(seed)
    centres = random_.normal(size=(200, dim))
    weights = random_.dirichlet(np.full(200, 0.5))
    for number in range(n):
        vector = centres[random_.choice(200, p=weights)] + 0.5 * random_.normal(size=dim)
        yield {"id": f"v{number}", "title": f"product {number}", "embedding": np.round(vector, 4).tolist()}
