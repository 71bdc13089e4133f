"""Two encoders on the same texts, in turn, in one process: which encodes more a second on the CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.bundle import TextSpec
from model.data.readers import read_named
from model.runtime import OnnxEncoder
from model.text import product_text

BATCH = 256
"""The service's default."""
TITLES, LONG = 1024, 256
"""Texts of a round."""
ROUNDS = 7

Encode = Callable[[Sequence[str]], object]


@dataclass(frozen=True, slots=True)
class Race:
    """Texts a second of two encoders; each figure is the median over rounds, the ratio too.

    Attributes:
        texts: what was encoded.
        characters: mean length.
        threads: of the CPU, 0 for all cores.
        ratio: first / second.
    """

    texts: str
    characters: float
    threads: int
    rounds: int
    first: float
    second: float
    ratio: float


def races(first: Path, second: Path, data: Path, rounds: int) -> list[Race]:
    """Two bundles on short and on long texts, on all cores and on one.

    Args:
        first, second: folders.
        data: the folder of data sets.
        rounds: of each race.

    Raises:
        BundleError: a bundle is damaged or unsound.
        DataError: a data set is not there.
    """
    found = []
    for threads in (0, 1):
        encoders = [OnnxEncoder.load(folder, "cpu", threads) for folder in (first, second)]
        for name, texts in _texts(data).items():
            found.append(race(name, texts, encoders[0].encode_texts, encoders[1].encode_texts, threads, rounds))
    return found


def race(
    name: str,
    texts: Sequence[str],
    first: Encode,
    second: Encode,
    threads: int,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Race:
    """Encode the same texts with both, batch by batch; who begins changes from round to round."""
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    both = (first, second)
    for encode in both:
        encode(batches[0])
    seconds: list[list[float]] = [[], []]
    for number in range(rounds):
        for at in (0, 1) if number % 2 == 0 else (1, 0):
            started = clock()
            for batch in batches:
                both[at](batch)
            seconds[at].append(clock() - started)
    return Race(
        texts=name,
        characters=round(statistics.mean(map(len, texts)), 1),
        threads=threads,
        rounds=rounds,
        first=len(texts) / statistics.median(seconds[0]),
        second=len(texts) / statistics.median(seconds[1]),
        ratio=statistics.median(other / ours for ours, other in zip(*seconds, strict=True)),
    )


def _texts(data: Path) -> dict[str, list[str]]:
    """Titles of a fashion catalogue, and whole products of a shop for electronics."""
    fashion, electronics = (read_named(data, name).products for name in ("fashion_catalog_44k", "abt_buy"))
    titles = [product.title for product in fashion.values() if product.title]
    return {
        "titles": titles[:TITLES],
        "all fields": [product_text(product, TextSpec()) for product in electronics.values()][:LONG],
    }
