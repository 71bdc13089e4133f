"""Evaluate systems on data sets: every search, pair matching and geometry, baselines in the same table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from model.data.dataset import Dataset
from model.data.image_files import ImageFiles
from model.evaluation.baselines import lexical_baselines
from model.evaluation.bundles import BundleRanker, Encoder
from model.evaluation.geometry import geometry
from model.evaluation.measures import Measured, differences, fusions, language_means, measured, pair_row
from model.evaluation.pairs import score_pairs
from model.evaluation.ranking import Modality, Space, System, VectorSpace, space_of
from model.evaluation.report import GeometryRow, PairRow, Report, Scope
from model.evaluation.retrieval import search
from model.evaluation.tasks import Task, cluster_mates, one_catalogue, same_attributes, two_tables
from model.evaluation.variants import VARIANTS, variant
from producer.progress import Shown, silent

CUTS = tuple(range(1, 51))
VALID = "valid"
NEW_CLUSTERS = "test_om"
"""Products and clusters that no training split has: where a source names such a split, no other is honest."""

Say = Callable[[str], None]
SystemsFor = Callable[[Dataset], Sequence[System]]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A data set and what is asked on it.

    Attributes:
        dataset: whose products a system sees.
        tasks: the searches.
        pairs: the split that pair matching is measured on; None for none.
        variant: how the products are told; empty as the source tells them.
    """

    dataset: Dataset
    tasks: Sequence[Task]
    pairs: str | None = None
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The seed and number of resamples of every interval."""

    seed: int = 0
    resamples: int = 2000


def benchmark(dataset: Dataset, held_out: Collection[str] = ()) -> Benchmark:
    """What can be asked of a data set on its test split.

    Args:
        dataset: two tables, a catalogue with clusters, one with pairs, or one with neither.
        held_out: where there are no pairs, the ids of products that took no part in training.

    Raises:
        ValueError: there is nothing to ask.
    """
    if not dataset.pairs:
        return Benchmark(dataset, [same_attributes(dataset, held_out)])
    splits = {pair.split for pair in dataset.pairs}
    split = NEW_CLUSTERS if NEW_CLUSTERS in splits else "test"
    ask = two_tables if dataset.sides else cluster_mates if dataset.clusters else one_catalogue
    return Benchmark(dataset, [ask(dataset, split)], split if VALID in splits else None)


def benchmarks(dataset: Dataset, held_out: Collection[str] = ()) -> list[Benchmark]:
    """What can be asked of a data set; where it is category and attribute of products with images, of each variant, too.

    Of such a set a system sees only the products that are asked for.

    Raises:
        ValueError: there is nothing to ask.
    """
    plain = benchmark(dataset, held_out)
    if dataset.pairs or dataset.images is None:
        return [plain]
    asked = {id: dataset.products[id] for task in plain.tasks for id in task.candidates}
    told = (Benchmark(variant(dataset, name, asked), plain.tasks, variant=name) for name in VARIANTS)
    return [replace(plain, dataset=replace(dataset, products=asked)), *told]


def with_baselines(
    encoders: Mapping[str, Encoder], zero_shot: Collection[str] = (), shown: Shown = silent
) -> SystemsFor:
    """The lexical baselines of the language of each data set, then the encoders by name.

    Args:
        encoders: by name.
        zero_shot: names of those that are baselines too.
        shown: is told how many products an encoder has encoded.

    Raises:
        DataError: when called for a data set whose images do not exist.
    """

    def systems(dataset: Dataset) -> list[System]:
        read_image = ImageFiles(dataset.images).read if dataset.images else None
        encoded = [
            System(name, BundleRanker(encoder, read_image, shown), name in zero_shot)
            for name, encoder in encoders.items()
        ]
        return [*lexical_baselines(dataset.language), *encoded]

    return systems


def evaluate(
    systems: SystemsFor, benchmarks: Sequence[Benchmark], settings: Settings | None = None, say: Say = lambda line: None
) -> Report:
    """Measure every system on every benchmark, in each modality that both have.

    Args:
        systems: those to measure on a data set, such as ``with_baselines(...)``.
        benchmarks: data sets and tasks.
        settings: of the intervals.
        say: takes a line on what is being done.

    Raises:
        ArithmeticError: a system gave a score that is not finite.
        ValueError: two systems have one name, or a data set lacks what a benchmark asks.
    """
    settings = settings or Settings()
    searches: list[Measured] = []
    pairs: list[PairRow] = []
    shapes: list[GeometryRow] = []
    for mark in benchmarks:
        for system, modality in _runs(systems(mark.dataset), mark.dataset):
            say(", ".join(filter(None, (f"{mark.dataset.name}: {system.name}", modality, mark.variant))))
            run = _Run(mark, system, modality, space_of(system, mark.dataset.products.values(), modality))
            for task in mark.tasks:
                searches += _searched(run, task, settings)
            if mark.pairs is not None:
                pairs.append(_matched(run, mark.pairs, settings))
                shapes += _shaped(run, mark.pairs)
    return Report(
        seed=settings.seed,
        resamples=settings.resamples,
        cuts=list(CUTS),
        searches=[of.row for of in searches],
        pairs=pairs,
        geometry=shapes,
        differences=differences(searches, settings.seed, settings.resamples),
        languages=language_means([of.row for of in searches]),
        fusions=fusions(searches, settings.seed, settings.resamples),
    )


def _runs(systems: Sequence[System], dataset: Dataset) -> Iterator[tuple[System, Modality]]:
    """Each system in each modality; what has no images is text only."""
    names = [system.name for system in systems]
    if len(set(names)) < len(names):
        raise ValueError(f"systems {names} are not all different: name each its own")
    modalities: tuple[Modality, ...] = ("text", "image", "both") if dataset.images else ("text",)
    for system in systems:
        yield from ((system, modality) for modality in modalities if modality in system.ranker.modalities)


@dataclass(frozen=True, slots=True)
class _Run:
    """One system on one data set in one modality."""

    mark: Benchmark
    system: System
    modality: Modality
    space: Space

    def scope(self, task: str, split: str) -> Scope:
        return Scope(
            system=self.system.name,
            baseline=self.system.baseline,
            dataset=self.mark.dataset.name,
            task=task,
            split=split,
            language=self.mark.dataset.language,
            modality=self.modality,
            variant=self.mark.variant,
        )


def _searched(run: _Run, task: Task, settings: Settings) -> Iterator[Measured]:
    """All queries, and where train has a match of some of them, the seen and the unseen ones apart."""
    table = search(task, run.space)
    scope = run.scope(task.protocol, task.split)
    yield measured(scope, table, CUTS, settings.seed, settings.resamples)
    parts = {"seen": table.where(seen=True), "unseen": table.where(seen=False)}
    if all(part.answers for part in parts.values()):
        for subset, part in parts.items():
            within = msgspec.structs.replace(scope, subset=subset)
            yield measured(within, part, CUTS, settings.seed, settings.resamples)


def _matched(run: _Run, split: str, settings: Settings) -> PairRow:
    valid, test = (score_pairs(run.mark.dataset, name, run.space) for name in (VALID, split))
    return pair_row(run.scope("pairs", split), valid, test, VALID, settings.seed, settings.resamples)


def _shaped(run: _Run, split: str) -> Iterator[GeometryRow]:
    """Only what makes vectors has a geometry."""
    if isinstance(run.space, VectorSpace):
        yield GeometryRow(scope=run.scope("geometry", split), **geometry(run.mark.dataset, split, run.space))
