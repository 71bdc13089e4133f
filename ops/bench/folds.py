"""What a change of the English recipe is worth, on matches that are none of the splits `test`, and on shops never seen.

`python ops/bench/folds.py --set network.lexical.scale=0.7` takes some 25 minutes on two cores, half of it the first time
only. The splits train and valid of the two small shops are dealt into three parts, by match. Each fold trains on two of them
and on wdc_lspc_titles, and asks the third; products of the splits `test` are not learnt from. Two further trainings do
without one of the shops, and are asked its splits train and valid. Recall and the length of lists are those of all folds
together, with 95 % intervals over queries. Trainings are kept in .local/models/folds and go on where they were cut off. The
last line is one JSON object.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from options import told_errors
from recipe_runs import trained
from rich.console import Console

from model.commands import parsed_change
from model.data.dataset import Dataset
from model.data.readers import read_named
from model.evaluation.bootstrap import Estimate, difference, estimate
from model.evaluation.bundles import BundleRanker
from model.evaluation.rendering import Grid, interval, show
from model.evaluation.retrieval import SHARE, Table, needed, recall, search
from model.evaluation.tasks import two_tables
from model.runtime import OnnxEncoder
from model.training.config import recipe

ROOT = Path(__file__).resolve().parents[2]
MODELS, CACHE = ROOT / ".local" / "models" / "folds", ROOT / ".local" / "pretrained"
DATA = ROOT.parent / "shared" / "data"
SHOPS, OTHER = ("abt_buy", "amazon_google"), "wdc_lspc_titles"
PARTS = 3
SHORT: Mapping[str, Any] = {"steps": 80, "validation": []}
TRIAL: Mapping[str, Any] = {"steps": 2, "batch": 4, "tokens": 8}
RECIPE, CHANGED = "recipe", "changed"
UNSEEN = "{}, never seen"
ASKED = (*SHOPS, *map(UNSEEN.format, SHOPS))
"""The rows, by what is asked."""

told = Console(stderr=True, highlight=False)
console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)

Tables = Mapping[str, Table]
"""The answers, by what is asked."""


def main(
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="A field and its value, as of kinstream model train.")
    ] = None,
    folds: Annotated[int, typer.Option(min=1, max=PARTS, help="How many of the three parts to ask.")] = 2,
    quick: Annotated[bool, typer.Option(help="Train two steps, for a trial of the benchmark itself.")] = False,
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")] = DATA,
) -> None:
    """Train what is not there yet, measure, print the table, and the JSON."""
    common = {**SHORT, **(TRIAL if quick else {})}
    settings = {RECIPE: common}
    if changes:
        settings[CHANGED] = common | dict(parsed_change(change) for change in changes)
    with told_errors(told):
        roots = [deal(data, MODELS / f"data{fold}", dict.fromkeys(SHOPS, (fold,))) for fold in range(folds)]
        without = {shop: deal(data, MODELS / f"without-{shop}", {shop: range(PARTS)}) for shop in SHOPS}
        measured = {name: {**tables(own, roots), **unseen(own, without)} for name, own in settings.items()}
    show([grid(measured)], console)
    print(json.dumps({name: figures(found) for name, found in measured.items()}))


def tables(changes: Mapping[str, Any], roots: Sequence[Path]) -> Tables:
    """The answers of the English recipe with these changes, trained once for each folder of data sets.

    Raises:
        ModelError: data or pretrained weights cannot be had, or a training failed.
    """
    found: dict[str, list[Table]] = {shop: [] for shop in SHOPS}
    for root in roots:
        encoder = encoder_of(changes, root)
        for shop, parts in found.items():
            parts.append(answers(encoder, root, shop))
    return {shop: joined(parts) for shop, parts in found.items()}


def unseen(changes: Mapping[str, Any], without: Mapping[str, Path]) -> Tables:
    """The answers of the recipe on each shop, trained on the other data sets of that shop's folder.

    Raises:
        ModelError: data or pretrained weights cannot be had, or a training failed.
    """
    sources = recipe("english", changes).sources
    found = {}
    for shop, root in without.items():
        others = [msgspec.to_builtins(source) for source in sources if source.name != shop]
        found[UNSEEN.format(shop)] = answers(encoder_of({**changes, "sources": others}, root), root, shop)
    return found


def encoder_of(changes: Mapping[str, Any], root: Path) -> OnnxEncoder:
    """Trained on the data sets of a folder, unless it is there."""
    name = hashlib.sha256(msgspec.json.encode(changes)).hexdigest()[:12]
    return OnnxEncoder.load(trained("english", changes, root, MODELS / f"{name}-{root.name}", CACHE), "cpu")


def answers(encoder: OnnxEncoder, root: Path, shop: str) -> Table:
    """To the matches of the split test."""
    told.print(f"{root.name}: {shop} …")
    dataset = read_named(root, shop)
    return search(two_tables(dataset, "test"), BundleRanker(encoder).over([*dataset.products.values()]))


def joined(parts: Sequence[Table]) -> Table:
    """All their answers in one."""
    return replace(parts[0], answers=[answer for part in parts for answer in part.answers])


def deal(data: Path, root: Path, asked: Mapping[str, Collection[int]]) -> Path:
    """A folder of data sets in which these parts of what is not tested are the split test, by shop, and the others train.

    Returns:
        The folder, with the same bytes each time.

    Raises:
        DataError: a data set is missing.
    """
    for name in (*SHOPS, OTHER):
        (root / name).mkdir(parents=True, exist_ok=True)
        dataset = read_named(data, name)  # says what is missing
        for file in sorted((data / name).iterdir()):
            place = root / name / file.name
            if name == OTHER or file.name != "pairs.csv.gz":
                place.unlink(missing_ok=True)
                place.symlink_to(file.resolve())
        if name != OTHER:
            (root / name / "pairs.csv.gz").write_bytes(_packed(dealt(dataset, asked.get(name, ()))))
    return root


def dealt(dataset: Dataset, asked: Collection[int]) -> Iterator[tuple[str, str, int, str]]:
    """The pairs, as rows; those of the split test are in ``valid``, which is not learnt from and not asked here."""
    for pair in dataset.pairs:
        part = int.from_bytes(hashlib.blake2b(f"{pair.left} {pair.right}".encode(), digest_size=8).digest()) % PARTS
        split = "valid" if pair.split == "test" else "test" if part in asked else "train"
        yield pair.left, pair.right, int(pair.same), split


def _packed(rows: Iterator[tuple[str, str, int, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("left_id", "right_id", "label", "split"))
    writer.writerows(rows)
    return gzip.compress(text.getvalue().encode(), mtime=0)


def grid(measured: Mapping[str, Tables]) -> Grid:
    """A row for each shop and encoder, with what the changes change over the same queries."""
    columns = ["asked on", "encoder", "matches", "recall@1", "change", "recall@10", "k99.5"]
    rows = [_row(measured, name, asked) for asked in ASKED for name in measured]
    return Grid("Matches that are not tested, 95 % intervals", columns, rows)


def figures(found: Tables) -> dict[str, dict[str, float]]:
    """As the last line has them."""
    return {
        asked: {
            "r1": round(_recall(table, 1).value, 4),
            "r10": round(_recall(table, 10).value, 4),
            "k995": _needed(table),
        }
        for asked, table in found.items()
    }


def _row(measured: Mapping[str, Tables], name: str, asked: str) -> list[str]:
    table = measured[name][asked]
    near, far = (interval(_recall(table, k)) for k in (1, 10))
    return [asked, name, str(table.matches), near, _change(measured, name, asked), far, f"{_needed(table):.0f}"]


def _change(measured: Mapping[str, Tables], name: str, asked: str) -> str:
    if name == RECIPE:
        return ""
    new, old = measured[name][asked], measured[RECIPE][asked]
    return interval(difference(recall(new, 1), recall(old, 1), len(new.answers)), sign="+")


def _recall(table: Table, k: int) -> Estimate:
    return estimate(recall(table, k), len(table.answers))


def _needed(table: Table) -> float:
    return estimate(needed(table, SHARE), len(table.answers)).value


if __name__ == "__main__":
    typer.run(main)
