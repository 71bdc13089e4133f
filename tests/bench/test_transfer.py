"""What is trained on what, the tables of a small made-up report, and the line of JSON at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transfer
from typer.testing import CliRunner, Result

from model.data.dataset import Dataset
from model.data.errors import DataError
from model.data.splits import held_out
from model.evaluation.evaluate import Benchmark, benchmark, evaluate
from model.evaluation.ranking import Scorer, System
from model.evaluation.report import Report
from model.evaluation.variants import TITLES
from model.training.config import recipe
from producer.events import Product


class Placed:
    """Products at a place on a line; what is nearer is more alike."""

    modalities = frozenset({"text"})

    def __init__(self, places: dict[str, float]) -> None:
        self._places = places

    def over(self, products: Sequence[Product]) -> Placed:
        return self

    def scorer(self, queries: Sequence[str], candidates: Sequence[str]) -> Scorer:
        left, right = (np.array([self._places[id] for id in ids], np.float32) for ids in (queries, candidates))
        return lambda rows: -np.abs(left[rows][:, None] - right)


@pytest.fixture
def dressed() -> Dataset:
    """400 shirts and hats, red and blue, each a group of its own."""
    kinds = [("shirt", "red"), ("shirt", "blue"), ("hat", "red"), ("hat", "blue")]
    named = [(f"p{at}", *kinds[at % 4]) for at in range(400)]
    products = [
        Product(id=id, title=f"{colour} {kind} {id}", category=kind, attributes={"colour": colour})
        for id, kind, colour in named
    ]
    return Dataset(transfer.DRESSED, {product.id: product for product in products})


@pytest.fixture
def report() -> Report:
    """Four products, two of a kind: one system finds all, the other every second first."""
    products = {f"p{at}": Product(id=f"p{at}", title="x", category="c", attributes={"colour": "ab"[at // 2]})
                for at in range(4)}  # fmt: skip
    shop = Dataset("shop", products)
    far = Placed({"p0": 0.0, "p1": 0.1, "p2": 5.0, "p3": 0.05})
    near = Placed({"p0": 0.0, "p1": 0.1, "p2": 5.0, "p3": 5.1})
    systems = [System("weight 0", far, baseline=True), System("weight 1", near)]
    tasks = benchmark(shop, products).tasks
    return evaluate(lambda dataset: systems, [Benchmark(shop, tasks), Benchmark(shop, tasks, variant=TITLES)])


def test_each_training_knows_one_shop_and_its_train_split_only() -> None:
    for shop in transfer.SHOPS:
        config = recipe("english", transfer.shop_changes(shop, transfer.SHORT))
        assert [(source.name, source.splits) for source in config.sources] == [(shop, ("train",))]
        assert (config.validation, config.loss.category_weight) == ((), 0)
    assert recipe("english", transfer.shop_changes(transfer.MATCHED, transfer.SHORT)).sources[0].apart


def test_weights_are_all_that_differs() -> None:
    plain, told = (recipe("english", transfer.dressed_changes(transfer.SHORT, weight)) for weight in (0.0, 0.2))
    assert plain.loss.category_weight == 0
    assert told.loss.category_weight == 0.2
    assert (plain.sources, plain.network, plain.steps, plain.seed) == (
        told.sources,
        told.network,
        told.steps,
        told.seed,
    )


def test_only_products_that_no_training_saw_are_asked(dressed: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "read_named", lambda root, name: dressed)
    (source,) = recipe("english", transfer.dressed_changes(transfer.SHORT)).sources
    hidden = held_out(dressed, source.hold_out)
    assert len(hidden) == 20
    marks = transfer._dressed(Path())
    assert [mark.variant for mark in marks] == ["", "titles", "plain titles"]
    for mark in marks:
        assert mark.dataset.products.keys() == hidden
        assert {id for task in mark.tasks for id in task.candidates} == hidden
    texts = [next(iter(mark.dataset.products.values())) for mark in marks]
    assert [product.category is None for product in texts] == [False, True, True]
    assert texts[2].title == texts[2].id


def test_the_tables_say_what_the_report_says(report: Report) -> None:
    grid = transfer.tasks_grid(report)
    assert [row[:2] for row in grid.rows] == [
        ["shop", "weight 0"], ["shop", "weight 1"], ["shop, titles", "weight 0"], ["shop, titles", "weight 1"]
    ]  # fmt: skip
    first, second = grid.rows[:2]
    assert first[2].startswith("0.000 [")
    assert first[4:] == ["", ""]
    assert second[2] == "1.000 [1.000, 1.000]"
    assert second[4].startswith("+1.000 [+")
    shops = transfer.shops_grid(report)
    assert shops.columns == ["system", "shop recall@1", "shop recall@10"]
    assert [row[0] for row in shops.rows] == ["weight 0", "weight 1"]
    assert transfer.figures(report)["shop, titles"]["weight 1"] == {"recall@1": 1.0, "recall@10": 1.0}


def called(monkeypatch: pytest.MonkeyPatch, measure: Any, *options: object) -> Result:
    app = transfer.typer.Typer()
    app.command()(transfer.main)
    for name in ("_dressed", "_matched"):
        monkeypatch.setattr(transfer, name, lambda data: [])
    monkeypatch.setattr(transfer, "transfer", lambda configs, data: measure(configs))
    monkeypatch.setattr(transfer, "second_task", lambda configs, marks, data: measure(configs))
    return CliRunner().invoke(app, [str(option) for option in options])


def test_it_ends_in_one_line_of_json(report: Report, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def measure(configs: Any) -> Report:
        asked.append(list(configs))
        return report

    done = called(monkeypatch, measure, "--quick", "--json", tmp_path / "all" / "transfer.json")
    assert done.exit_code == 0, done.output
    assert asked == [list(transfer.WEIGHTS), list(transfer.SHOPS), list(transfer.WEIGHTS)]
    last = json.loads(done.stdout.splitlines()[-1])
    assert list(last) == ["categories_by_colour", "transfer", "categories_by_match"]
    assert last["transfer"]["shop"]["weight 1"]["recall@1"] == 1.0
    assert json.loads((tmp_path / "all" / "transfer.json").read_text())["transfer"]["searches"]


def test_what_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(configs: Any) -> Report:
        raise DataError("data set 'abt_buy' is not in ../data: name the folder that it lies in")

    done = called(monkeypatch, measure)
    assert done.exit_code == 1
    assert done.stderr == "error: data set 'abt_buy' is not in ../data: name the folder that it lies in\n"
