"""The recipes' encoders against baselines on test splits: `make bench-model`, an hour on two cores with bf16.

* abt_buy, amazon_google, wdc_lspc, ali_zh: r1 and r10, recall within the first 1 and 10 of the trained encoder's lists, and
  k995, the length of lists that hold 99.5 % of all matches; beside them the best of TF-IDF, BM25 and a pretrained encoder as
  it was published (MiniLM, for Chinese bge-small-zh), each figure's own. Of ali_zh the split test_om, whose products and
  clusters training never saw; recall there is capped, so that r1 is the share of queries whose nearest product is right.
* fashion: recall within the first 10 of products of the same category and colour, by text, image and both; held out
  products, titles without the words of any category and colour.
* speed_vs_minilm: titles a second of the English encoder / those of MiniLM's bundle, same precision, on all cores, in turn.

Each recipe is trained by the commands that users have, once: what is in .local/models is taken while configuration and data
are the same. No figure is of data that took part in training or in choosing a model. The last line is one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from encoder_speed import ROUNDS, Race, races
from options import chosen, told_errors
from quality_figures import figures, modalities, speeds, verdicts
from recipe_runs import minutes, trained, zero_shot
from rich.console import Console

from model.evaluation.bench import report_of
from model.evaluation.plotting import plot
from model.evaluation.rendering import Grid, grids, show
from model.evaluation.report import Report

ROOT = Path(__file__).resolve().parents[2]
MODELS, CACHE = ROOT / ".local" / "models", ROOT / ".local" / "pretrained"
DATA = ROOT.parent / "shared" / "data"
MINILM = MODELS / "default"
CHINESE = "bge-small-zh"
SETS = {
    "english": ("abt_buy", "amazon_google", "wdc_lspc_titles"),
    "chinese": ("ali_ember_zh",),
    "fashion": ("fashion_images_1500",),
}
"""What each recipe is measured on."""
TRIAL: Mapping[str, Any] = {
    "steps": 4, "batch": 4, "tokens": 16, "validation": [], "validate_every": 4, "checkpoint_every": 2, "mine_every": 0
}  # fmt: skip
TRIAL_ROUNDS = 1

told = Console(stderr=True, highlight=False)
console = Console(width=None if sys.stdout.isatty() else 180, highlight=False)


@dataclass(slots=True)
class Measured:
    """Reports by recipe, minutes that the steps of its training took, and the speed of the English encoder."""

    reports: dict[str, Report]
    minutes: dict[str, float]
    races: list[Race]


def main(
    quick: Annotated[bool, typer.Option(help="Train four steps, for a trial of the benchmark itself.")] = False,
    only: Annotated[str, typer.Option(help="Some of the recipes, with commas between.")] = ",".join(SETS),
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")] = DATA,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for all figures.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Folder for curves, histograms and maps.")] = None,
) -> None:
    """Train what is not there yet, measure everything, print the tables, and the JSON."""
    names = chosen(only, SETS)
    started = time.monotonic()
    with told_errors(told):
        measured = _measure(names, quick, data, plots)
    last = figures(list(measured.reports.values()), _ratio(measured.races))
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_bytes(_encoded({"figures": last, "quick": quick, **asdict(measured)}))
    _print(measured)
    console.print(f"all of it took {(time.monotonic() - started) / 60:.0f} minutes")
    print(json.dumps(last))


def _measure(names: Sequence[str], quick: bool, data: Path, plots: Path | None) -> Measured:
    """Recipe by recipe; the tables of one are printed before the next begins."""
    measured = Measured({}, {}, [])
    for name in names:
        bundle = _bundle(name, quick, data)
        measured.minutes[name] = round(minutes(bundle), 1)
        baseline = _baseline(name)
        told.print(f"{name}: measured on {', '.join(SETS[name])} …")
        report = report_of([baseline, bundle], [baseline], SETS[name], data, 0, told.print)
        measured.reports[name] = report
        show(grids(report), console)
        if plots is not None:
            plot(report, bundle, SETS[name][0], data, plots / name)
        if name == "english":
            told.print("english: speed …")
            measured.races = races(bundle, MINILM, data, TRIAL_ROUNDS if quick else ROUNDS)
    return measured


def _bundle(name: str, quick: bool, data: Path) -> Path:
    folder = MODELS / "trial" / name if quick else MODELS / name
    return trained(name, TRIAL if quick else {}, data, folder, CACHE)


def _baseline(name: str) -> Path:
    return zero_shot(CHINESE, MODELS / CHINESE, CACHE) if name == "chinese" else MINILM


def _ratio(found: Sequence[Race]) -> float | None:
    """Of titles on all cores."""
    return next((race.ratio for race in found if race.texts == "titles" and race.threads == 0), None)


def _print(measured: Measured) -> None:
    reports = list(measured.reports.values())
    found = [verdicts(reports), modalities(reports), speeds(measured.races)]
    rows = [[name, f"{value:.1f}"] for name, value in measured.minutes.items()]
    show([grid for grid in (*found, Grid("Steps of the training", ["recipe", "minutes"], rows)) if grid.rows], console)


def _encoded(values: Mapping[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(values), indent=2) + b"\n"


if __name__ == "__main__":
    typer.run(main)
