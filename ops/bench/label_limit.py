"""How far recall@1 rises on the two small shops, whatever ranks: `python ops/bench/label_limit.py`, five to ten minutes.

Each match of the splits train and valid is asked, by rankings that learnt nothing from labels: TF-IDF, BM25, two encoders as
they were published, and the mean of these four. Then by one that does learn from labels, and looks at two texts at a time,
which no vector can: gradient boosting over the four scores and over what both texts have in common, cross-validated by query.
And by two that know what is in no text: which other products of the first shop a candidate is near to (CSLS, Conneau et
al., "Word translation without parallel data", 2018), and prices. A query with several matches can find one of them first, so
recall@1 is at most queries / matches. The splits `test` are not looked at. The last line is one JSON object.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from folds import DATA, PARTS, SHOPS, deal
from options import told_errors
from recipe_runs import zero_shot
from rich.console import Console

from model.data.dataset import Dataset
from model.data.readers import read_named
from model.evaluation.baselines import lexical_baselines
from model.evaluation.bootstrap import Estimate, estimate
from model.evaluation.bundles import bundle_system
from model.evaluation.ranking import Scorer
from model.evaluation.rendering import Grid, interval, show
from model.evaluation.retrieval import recall, search
from model.evaluation.tasks import Task, two_tables
from producer.events import Product
from producer.progress import progress

ROOT = Path(__file__).resolve().parents[2]
MODELS, CACHE = ROOT / ".local" / "models", ROOT / ".local" / "pretrained"
PUBLISHED = ("minilm", "bge-small-en")
MEAN, READ, OTHERS, ALL = (
    "mean of the four",
    "both texts read together",
    "mean, other queries known",
    "all of it, and prices",
)
CANDIDATES, FOLDS, NEAREST, SEED = 20, 5, 5, 0
"""Candidates that are ranked again, parts of the cross-validation, queries whose similarity CSLS takes off."""
NUMBERS, WORDS = re.compile(r"\d[\w.-]*"), re.compile(r"\w+")

Matrix = NDArray[np.float32]
Found = Mapping[str, Estimate]

told = Console(stderr=True, highlight=False)
console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)


@dataclass(frozen=True, slots=True)
class Fixed:
    """A space whose scores [queries, candidates] are there already."""

    scores: Matrix

    def scorer(self, queries: Sequence[str], candidates: Sequence[str]) -> Scorer:
        """Those of the task that they were made for."""
        assert self.scores.shape == (len(queries), len(candidates))
        return lambda rows: self.scores[rows]


def main(data: Annotated[Path, typer.Option(help="Folder of the data sets.")] = DATA) -> None:
    """Rank, print the table, and the JSON."""
    with told_errors(told):
        roots = {shop: deal(data, MODELS / "folds" / f"without-{shop}", {shop: range(PARTS)}) for shop in SHOPS}
        found = {shop: limits(read_named(root, shop)) for shop, root in roots.items()}
    show([grid(found)], console)
    print(json.dumps({shop: {name: round(of.value, 4) for name, of in own.items()} for shop, own in found.items()}))


def limits(dataset: Dataset) -> Found:
    """Recall@1 of each ranking, and what it could be.

    Raises:
        FetchError: the weights of an encoder cannot be had.
    """
    task = two_tables(dataset, "test")
    sides = [id for id in dataset.products if dataset.sides[id] == "A"]
    asked = [sides.index(query.id) for query in task.queries]
    everyone = scores_of(dataset, sides, task.candidates)
    own = {name: scores[asked] for name, scores in everyone.items()}
    whole = np.mean([scaled(scores) for scores in everyone.values()], axis=0)
    mean, others = whole[asked], without_hubs(whole)[asked]
    told.print(f"{dataset.name}: both texts read together …")
    pairs = Pairs(dataset.products, task, mean)
    rankings = {
        **own,
        MEAN: mean,
        READ: pairs.ranked(list(own.values()), prices=False),
        OTHERS: others,
        ALL: pairs.ranked([*own.values(), others], prices=True),
    }
    tables = {name: search(task, Fixed(scores)) for name, scores in rankings.items()}
    found = {name: estimate(recall(table, 1), len(table.answers)) for name, table in tables.items()}
    most = len(task.queries) / sum(len(query.right) for query in task.queries)
    return found | {"queries / matches": Estimate(most, most, most)}


def scores_of(dataset: Dataset, queries: Sequence[str], candidates: Sequence[str]) -> dict[str, Matrix]:
    """Scores [queries, candidates] by system."""
    products, found = list(dataset.products.values()), {}
    bundles = {name: zero_shot(name, MODELS / name, CACHE) for name in PUBLISHED}
    for system in [*lexical_baselines("en"), *(bundle_system(folder, name) for name, folder in bundles.items())]:
        told.print(f"{dataset.name}: {system.name} …")
        scorer = system.ranker.over(products).scorer(queries, candidates)
        found[system.name] = scorer(slice(0, len(queries)))
    return found


def scaled(scores: Matrix) -> Matrix:
    """Of each query, as shares of its best."""
    return scores / np.maximum(scores.max(axis=1, keepdims=True), 1e-9)


def without_hubs(scores: Matrix) -> Matrix:
    """Half the mean of a candidate's largest scores, to the queries of the whole shop, taken off each of its scores."""
    return scores - np.sort(scores, axis=0)[-NEAREST:].mean(axis=0) / 2


class Pairs:
    """A query and each of its first candidates by ``first`` [queries, candidates]."""

    def __init__(self, products: Mapping[str, Product], task: Task, first: Matrix) -> None:
        self._products, self._task, self._first = products, task, first
        self._near = np.argsort(-first, axis=1, kind="stable")[:, :CANDIDATES]

    def ranked(self, scores: Sequence[Matrix], prices: bool) -> Matrix:
        """Scores [queries, candidates] learnt from the labels of other queries; those not ranked again are last."""
        features = np.array(list(self._features(scores, prices)), np.float64)
        right, groups = self._labels(), np.repeat(np.arange(len(self._first)), CANDIDATES)
        chances = np.zeros(len(right))
        with progress("learning") as shown:
            folds = GroupKFold(FOLDS, shuffle=True, random_state=SEED).split(features, right, groups)
            for fold, (known, asked) in enumerate(folds):
                shown(fold, FOLDS)
                learnt = HistGradientBoostingClassifier(
                    max_iter=150, learning_rate=0.05, max_leaf_nodes=15, l2_regularization=1, random_state=SEED
                ).fit(features[known], right[known])
                chances[asked] = learnt.predict_proba(features[asked])[:, 1]
        again = self._first - self._first.max() - 1
        np.put_along_axis(again, self._near, chances.reshape(self._near.shape), axis=1)
        return again

    def _labels(self) -> NDArray[np.bool_]:
        right = [
            self._task.candidates[at] in query.right
            for query, near in zip(self._task.queries, self._near, strict=True)
            for at in near
        ]
        return np.array(right)

    def _features(self, scores: Sequence[Matrix], prices: bool) -> Iterator[list[float]]:
        for row, (query, near) in enumerate(zip(self._task.queries, self._near, strict=True)):
            asked = self._products[query.id]
            rows = [of[row] for of in scores]
            tops = [(of, of.max()) for of in (*rows, self._first[row])]
            for rank, at in enumerate(near):
                other = self._products[self._task.candidates[at]]
                told_by = [float(of[at]) for of in rows]
                behind = [float(of[at] - top) for of, top in tops]
                yield [rank, *told_by, *behind, *shared(asked, other), *([_dearer(asked, other)] if prices else [])]


def shared(one: Product, other: Product) -> list[float]:
    """What two products' texts have in common, and how long they are."""
    titles = [product.title or "" for product in (one, other)]
    words, numbers = ([set(find.findall(title)) for title in titles] for find in (WORDS, NUMBERS))
    both = len(words[0] & words[1])
    told_more = [len(product.description or "") for product in (one, other)]
    return [
        both / max(1, len(words[0])),
        both / max(1, len(words[1])),
        *(len(found) for found in (numbers[0] & numbers[1], numbers[0] - numbers[1], numbers[1] - numbers[0])),
        *map(len, titles),
        *told_more,
        float(bool(one.brand) and one.brand == other.brand),
        float(bool(other.brand)),
    ]


def _dearer(one: Product, other: Product) -> float:
    """The logarithm of how much dearer the one is; unknown where a price is."""
    return abs(math.log(one.price / other.price)) if one.price and other.price else math.nan


def grid(found: Mapping[str, Found]) -> Grid:
    """A row for each ranking."""
    rows = [[name, *(interval(own[name]) for own in found.values())] for name in next(iter(found.values()))]
    return Grid("Recall@1 of matches that are not tested (95 % intervals)", ["ranking", *found], rows)


if __name__ == "__main__":
    typer.run(main)
