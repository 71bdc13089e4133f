"""From one shop to another, and categories as a second task: `python ops/bench/transfer.py`, about 25 minutes on two cores.

* Transfer: the English recipe, shortened, on the train split of one shop alone; each of these encoders is measured on the
  test split of every shop, beside TF-IDF, BM25 and MiniLM as it was published; once as it is, and once with the weights of
  n-grams fitted to the texts of the shop that is asked, as `kinstream model export --catalogue` does it without any label.
* Second task: the same training with and without telling categories; measured by products of the same category and colour
  (held out products of fashion_catalog_44k, as whole texts, as titles, and as titles without the words of any category and
  colour) and by matches (test split of wdc_lspc_titles), and what the second task changes over the same queries.

Weights and steps are set beforehand, and the last step is taken: nothing is chosen on what is measured. Trainings are kept
in .local/models/transfer and go on where they were cut off. The last line is one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from options import chosen, told_errors
from recipe_runs import Changes, fitted, trained
from rich.console import Console

from model.data.dataset import Dataset
from model.data.readers import read_named
from model.data.splits import held_out
from model.evaluation.bundles import BundleRanker
from model.evaluation.evaluate import Benchmark, benchmark, evaluate, with_baselines
from model.evaluation.ranking import System
from model.evaluation.rendering import Grid, interval, show
from model.evaluation.report import DifferenceRow, Report, SearchRow
from model.evaluation.variants import PLAIN, TITLES, variant
from model.runtime import OnnxEncoder
from model.training.config import recipe

ROOT = Path(__file__).resolve().parents[2]
MODELS, CACHE = ROOT / ".local" / "models", ROOT / ".local" / "pretrained"
DATA = ROOT.parent / "shared" / "data"
SHOPS = ("abt_buy", "amazon_google", "wdc_lspc_titles")
MATCHED, DRESSED = "wdc_lspc_titles", "fashion_catalog_44k"
"""Sets with categories: one with matches, one with colours."""
HELD_OUT = 0.05
"""Of the products of DRESSED, 2,200."""
WEIGHTS = (0.0, 0.2, 1.0)
"""Of the second task."""
SHORT: Changes = {
    "validation": [], "network.text.frozen_layers": 4, "tokens": 32, "batch": 24, "steps": 60, "mine_every": 0,
    "checkpoint_every": 20,
}  # fmt: skip
TRIAL: Changes = {"steps": 2, "batch": 4, "tokens": 8}
FIGURES = ("recall@1", "recall@10")
PARTS = ("categories_by_colour", "transfer", "categories_by_match")

told = Console(stderr=True, highlight=False)
console = Console(width=None if sys.stdout.isatty() else 180, highlight=False)


def main(
    quick: Annotated[bool, typer.Option(help="Train two steps, for a trial of the benchmark itself.")] = False,
    only: Annotated[str, typer.Option(help="Some of the parts, with commas between.")] = ",".join(PARTS),
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")] = DATA,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all figures.")] = None,
) -> None:
    """Train what is not there yet, measure, print the tables, and the JSON."""
    names = chosen(only, PARTS)
    changes = {**SHORT, **(TRIAL if quick else {})}
    shops = {shop: shop_changes(shop, changes) for shop in SHOPS}
    dressed = {weight: dressed_changes(changes, weight) for weight in WEIGHTS}
    matched = {weight: shop_changes(MATCHED, changes, weight) for weight in WEIGHTS}
    parts: dict[str, tuple[Callable[[], Report], Callable[[Report], Grid]]] = {
        "categories_by_colour": (lambda: second_task(dressed, _dressed(data), data), tasks_grid),
        "transfer": (lambda: transfer(shops, data), shops_grid),
        "categories_by_match": (lambda: second_task(matched, _matched(data), data), tasks_grid),
    }
    reports: dict[str, Report] = {}
    with told_errors(told):
        for name in names:
            measure, grid = parts[name]
            reports[name] = measure()
            show([grid(reports[name])], console)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(reports), indent=1) + b"\n")
    print(json.dumps({name: figures(report) for name, report in reports.items()}))


def transfer(trainings: Mapping[str, Changes], data: Path) -> Report:
    """Every shop's encoder, as it is and fitted to the shop that is asked, and the baselines, on every test split."""
    runs = {shop: run_of(changes, data) for shop, changes in trainings.items()}
    encoders = {"MiniLM": OnnxEncoder.load(MODELS / "default", "cpu")}
    encoders |= {f"trained on {shop}": OnnxEncoder.load(run, "cpu") for shop, run in runs.items()}

    def systems(dataset: Dataset) -> Sequence[System]:
        bundles = {f"trained on {shop}, fitted": fitted(run, dataset) for shop, run in runs.items()}
        own = {name: OnnxEncoder.load(bundle, "cpu") for name, bundle in bundles.items()}
        return with_baselines(encoders | own, ["MiniLM"])(dataset)

    marks = [Benchmark(shop, benchmark(shop).tasks) for shop in (read_named(data, name) for name in trainings)]
    return evaluate(systems, marks, say=told.print)


def second_task(trainings: Mapping[float, Changes], marks: Sequence[Benchmark], data: Path) -> Report:
    """Each weight of the second task, and what it changes against the weight 0."""
    systems = [
        System(f"weight {weight:g}", BundleRanker(OnnxEncoder.load(run_of(changes, data), "cpu")), baseline=weight == 0)
        for weight, changes in trainings.items()
    ]
    return evaluate(lambda dataset: systems, marks, say=told.print)


def shop_changes(shop: str, changes: Changes, weight: float = 0.0) -> Changes:
    """What makes of the English recipe one on the train split of one shop."""
    source = next(source for source in recipe("english", {}).sources if source.name == shop)
    alone = msgspec.structs.replace(source, splits=("train",), weight=1.0)
    return {**changes, "sources": [msgspec.to_builtins(alone)], "loss.category_weight": weight}


def dressed_changes(changes: Changes, weight: float = 0.0) -> Changes:
    """What makes of it one on two views of each product of a catalogue without matches."""
    source = {"name": DRESSED, "views": True, "hold_out": HELD_OUT}
    return {**changes, "sources": [source], "view_strength": 0.3, "loss.category_weight": weight}


def run_of(changes: Changes, data: Path) -> Path:
    """The training with these changes, and its bundle, trained unless it is there.

    Raises:
        ModelError: data or pretrained weights cannot be had, or the training failed.
    """
    config = recipe("english", changes)
    name = f"{config.sources[0].name}-{config.loss.category_weight:g}"
    return trained("english", changes, data, MODELS / "transfer" / name, CACHE)


def _dressed(data: Path) -> list[Benchmark]:
    """Held out products only, as they are told, and as their titles tell them."""
    dataset = read_named(data, DRESSED)
    ids = held_out(dataset, HELD_OUT)
    tasks = benchmark(dataset, ids).tasks
    whole = replace(dataset, products={id: product for id, product in dataset.products.items() if id in ids})
    return [
        Benchmark(whole, tasks),
        *(Benchmark(variant(dataset, name, whole.products), tasks, variant=name) for name in (TITLES, PLAIN)),
    ]


def _matched(data: Path) -> list[Benchmark]:
    dataset = read_named(data, MATCHED)
    return [Benchmark(dataset, benchmark(dataset).tasks)]


def shops_grid(report: Report) -> Grid:
    """A row a system, the test split of a shop in each pair of columns."""
    rows = _whole(report)
    shops = list(dict.fromkeys(row.scope.dataset for row in rows))
    systems = dict.fromkeys(row.scope.system for row in rows)
    found = {(row.scope.system, row.scope.dataset): row for row in rows}
    cells = [
        [system, *(interval(found[system, shop].figures[name]) for shop in shops for name in FIGURES)]
        for system in systems
    ]
    columns = [f"{shop} {name}" for shop in shops for name in FIGURES]
    return Grid("Transfer: test splits, 95 % intervals", ["system", *columns], cells)


def tasks_grid(report: Report) -> Grid:
    """A row for each set, telling and weight: recall, and what the second task changes."""
    columns = ["asked on", "second task", *FIGURES, *(f"{name}, change" for name in FIGURES)]
    cells = [
        [
            row.scope.told,
            row.scope.system,
            *(interval(row.figures[name]) for name in FIGURES),
            *(interval(change.difference, sign="+") if change else "" for change in _changes(report, row)),
        ]
        for row in _whole(report)
    ]
    return Grid("Categories as a second task, 95 % intervals", columns, cells)


def figures(report: Report) -> dict[str, dict[str, dict[str, float]]]:
    """Recall by what is asked, system and figure, as the last line has it."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in _whole(report):
        values = {name: round(row.figures[name].value, 4) for name in FIGURES}
        found.setdefault(row.scope.told, {})[row.scope.system] = values
    return found


def _whole(report: Report) -> list[SearchRow]:
    return [row for row in report.searches if row.scope.subset == "all"]


def _changes(report: Report, row: SearchRow) -> list[DifferenceRow | None]:
    found = {change.figure: change for change in report.differences if change.scope == row.scope}
    return [found.get(name) for name in FIGURES]


if __name__ == "__main__":
    typer.run(main)
