"""The phases of the benchmark, each a function that returns what it measured: see engine.py for what the figures mean."""

from __future__ import annotations

import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from churn import Catalogue, Events, Vectors, uneven_clusters
from contenders import CONTENDERS, Contender, Engine, Hnswlib, Probe, Rounds, warm_up
from trial import Advance, Point, Trial, alternate, point

K, SLACK = 10, 20
BATCH = 256
"""The service's default."""
SINGLES = 2000
"""Events applied one by one where that is measured too."""
NEAR_COMPACTION = 16
"""Dead vectors missing to a compaction when the events come one by one."""
FILLING = 2
"""Updates a product at most, until the index has as many dead as living: few products are in it."""
PAUSE_STEP = 512
WIDER = (320, 640)
"""Probes beyond 160, until the lists are as right as the engine's."""
SAME_RECALL = 0.0005
LONG_ROUND = 4000
"""Events of a round, at 20,000 products."""
STAGE_EVENTS = 5000
"""Churn at the smaller sizes of the growing catalogue."""
GROW_SHARE = 0.7
"""Of the time for a million products, the share that growing may take before the churn begins."""

Setting = tuple[int, int, int]
"""Dimensions, k, slack."""


def churned(products: int, dim: int, advance: Advance) -> tuple[list[Point], float]:
    """Engine and bare hnswlib in turn through 50 % churn, in batches and one by one; then the longest pause, seconds."""
    catalogue = Catalogue(seed=3)
    growing = catalogue.arrive(products)
    stages = [(catalogue.churn(products // 2), BATCH), (catalogue.churn(SINGLES), 1)]
    filling, arriving = catalogue.update(FILLING * products), catalogue.arrive(products // 2)
    pool = uneven_clusters(catalogue.rows, dim, seed=1)
    engine = Engine(dim, K, SLACK)
    makers: dict[str, Contender] = {"engine": engine, "hnswlib": Hnswlib(dim, K, SLACK)}
    trials = [Trial(name, contender, pool, catalogue.slots) for name, contender in makers.items()]
    points = _through(trials, growing, stages, (dim, K, SLACK), advance)
    return points, _longest_pause(trials[0], engine, filling, arriving, advance)


def compared(products: int, dim: int, advance: Advance) -> list[Point]:
    """All contenders in turn through 50 % churn; wider probes and frequent rounds by themselves on the same events."""
    catalogue = Catalogue(seed=5)
    growing = catalogue.arrive(products)
    stages = [(catalogue.churn(products // 2), BATCH), (catalogue.churn(SINGLES // 4), 1)]
    pool = uneven_clusters(catalogue.rows, dim, seed=2)
    every = max(BATCH, LONG_ROUND * products // 20_000)
    contenders = {name: make(dim, K, SLACK) for name, make in CONTENDERS.items() if name != "rounds"}
    contenders[f"rounds-{every}"] = Rounds(dim, K, SLACK, every)
    trials = [Trial(name, contender, pool, catalogue.slots) for name, contender in contenders.items()]
    points = _through(trials, growing, stages, (dim, K, SLACK), advance)
    del trials, contenders
    points += _wider_probes(points, growing, stages[0][0], pool, catalogue.slots, advance)
    return [*points, _frequent_rounds(growing, stages[0][0], pool, catalogue.slots, advance)]


def grid(products: int, advance: Advance) -> list[Point]:
    """The engine in other dimensions, and with other k and slack."""
    settings: list[Setting] = [(dim, K, SLACK) for dim in (64, 128, 384, 768)]
    settings += [(64, K, 0), (64, K, 10), (64, K, 40), (64, 20, SLACK), (64, 50, SLACK)]
    return [found for setting in settings for found in _setting(products, setting, advance)]


def growth(pipe: Connection, sizes: Sequence[int], dim: int, seconds: float) -> None:
    """One catalogue that grows from size to size, with churn at each, 50 % at the last; for a process of its own.

    Sends numbers of events done, then the list of points. Growing and churning stop early when the time is up.
    """
    began = time.monotonic()
    catalogue = Catalogue(seed=9)
    stages = [
        (catalogue.arrive(size - held), catalogue.churn(events))
        for held, size, events in zip((0, *sizes), sizes, _stage_events(sizes), strict=False)
    ]
    pool = uneven_clusters(catalogue.rows, dim, seed=4)
    trial = Trial("engine", Engine(dim, K, SLACK), pool, catalogue.slots)
    warm_up(Engine(dim, K, SLACK), dim)
    points = []
    for growing, changing in stages:
        alternate([trial], growing, BATCH, pipe.send, began + GROW_SHARE * seconds)
        (cost,) = alternate([trial], changing, BATCH, pipe.send, began + seconds)
        points.append(point(trial, cost, dim, K, SLACK, BATCH))
    pipe.send(points)


def growth_events(sizes: Sequence[int]) -> int:
    """How many there are."""
    return sizes[-1] + sum(_stage_events(sizes))


def _stage_events(sizes: Sequence[int]) -> list[int]:
    return [*(min(size // 2, STAGE_EVENTS) for size in sizes[:-1]), sizes[-1] // 2]


def _through(
    trials: list[Trial], growing: Events, stages: list[tuple[Events, int]], setting: Setting, advance: Advance
) -> list[Point]:
    """Grow, then measure each stage: events, and how many at once."""
    for trial in trials:
        warm_up(type(trial.contender)(*setting), setting[0])  # type: ignore[call-arg]
    alternate(trials, growing, BATCH, advance)
    points = []
    for events, batch in stages:
        costs = alternate(trials, events, batch, advance)
        points += [point(trial, cost, *setting, batch) for trial, cost in zip(trials, costs, strict=True)]
    return points


def _longest_pause(trial: Trial, engine: Engine, filling: Events, arriving: Events, advance: Advance) -> float:
    """The dead are brought near the number that starts a compaction; then products come one by one until it is over."""
    start = 0
    while engine.index.dead + NEAR_COMPACTION < len(engine.index) and start < len(filling):
        trial.run(filling[start : start + BATCH], BATCH)
        advance(BATCH)
        start += BATCH
    longest = trial.run(filling[start : start + 4 * BATCH], 1).longest
    for start in range(0, len(arriving), PAUSE_STEP):
        longest = max(longest, trial.run(arriving[start : start + PAUSE_STEP], 1).longest)
        advance(PAUSE_STEP)
        if not engine.index.compacting:
            break
    return longest


def _wider_probes(
    points: list[Point], growing: Events, changing: Events, pool: Vectors, slots: int, advance: Advance
) -> list[Point]:
    recalls = {found.contender: found.list_recall or 0.0 for found in reversed(points)}
    reached, wider = recalls["probe-160"], list[Point]()
    for probes in WIDER:
        if reached < recalls["engine"] - SAME_RECALL:
            trial = Trial(f"probe-{probes}", Probe(pool.shape[1], K, SLACK, probes), pool, slots)
            wider += _through([trial], growing, [(changing, BATCH)], (pool.shape[1], K, SLACK), advance)
            reached = wider[-1].list_recall or 0.0
    return wider


def _frequent_rounds(growing: Events, changing: Events, pool: Vectors, slots: int, advance: Advance) -> Point:
    """A round at every batch keeps lists as right as the engine's; two of them say what that costs."""
    rounds = Rounds(pool.shape[1], K, SLACK, every=2 * len(growing))
    trial = Trial(f"rounds-{BATCH}", rounds, pool, slots)
    alternate([trial], growing, BATCH, advance)
    rounds.every = 1
    (cost,) = alternate([trial], changing[: 2 * BATCH], BATCH, advance)
    return point(trial, cost, pool.shape[1], K, SLACK, BATCH)


def _setting(products: int, setting: Setting, advance: Advance) -> list[Point]:
    catalogue = Catalogue(seed=7)
    growing, changing = catalogue.arrive(products), catalogue.churn(products // 4)
    pool = uneven_clusters(catalogue.rows, setting[0], seed=3)
    trial = Trial("engine", Engine(*setting), pool, catalogue.slots)
    return _through([trial], growing, [(changing, BATCH)], setting, advance)
