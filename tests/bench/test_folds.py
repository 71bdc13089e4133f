"""How matches are dealt, what is asked of which encoder, and the line of JSON at the end."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import folds
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from model.data.readers import read_named
from model.data.splits import leaks
from model.evaluation.retrieval import Answer, Table


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two shops of 60 products on either side, each a match of its like; every fifth match is tested. And a catalogue."""
    root = tmp_path / "data"
    for shop in folds.SHOPS:
        (root / shop).mkdir(parents=True)
        for side in "AB":
            lines = [json.dumps({"id": f"{side}{at}", "title": f"lamp {at}"}) for at in range(60)]
            (root / shop / f"table{side}.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
        rows = [f"A{at},B{at},1,{('test', 'valid', 'train')[min(at % 5, 2)]}" for at in range(60)]
        table = "\n".join(["left_id,right_id,label,split", *rows])
        (root / shop / "pairs.csv.gz").write_bytes(gzip.compress(table.encode()))
    (root / folds.OTHER).mkdir()
    (root / folds.OTHER / "products.jsonl.gz").write_bytes(gzip.compress(b'{"id": "x", "title": "lamp"}'))
    return root


def test_each_match_that_is_not_tested_is_asked_in_one_fold(data: Path, tmp_path: Path) -> None:
    asked: list[str] = []
    for fold in range(folds.PARTS):
        folds.deal(data, tmp_path / "fold", dict.fromkeys(folds.SHOPS, (fold,)))
        dataset = read_named(tmp_path / "fold", "abt_buy")
        splits = {pair.left: pair.split for pair in dataset.pairs}
        assert {id for id, split in splits.items() if split == "valid"} == {f"A{at}" for at in range(0, 60, 5)}
        here = [id for id, split in splits.items() if split == "test"]
        assert 8 < len(here) < 24
        assert leaks(dataset)["test"].both == 0
        asked += here
    assert sorted(asked) == sorted(f"A{at}" for at in range(60) if at % 5)


def test_dealing_again_gives_the_same_bytes(data: Path, tmp_path: Path) -> None:
    """A training is taken again only if its data are the same."""
    read = []
    for _ in range(2):
        folds.deal(data, tmp_path / "fold", {"abt_buy": (1,)})
        read.append({file: file.read_bytes() for file in sorted((tmp_path / "fold").rglob("*.gz"))})
    assert len(read[0]) == 7
    assert read[0] == read[1]


def test_a_shop_never_seen_is_asked_all_that_is_not_tested_and_the_other_is_learnt_from(
    data: Path, tmp_path: Path
) -> None:
    root = folds.deal(data, tmp_path / "without", {"abt_buy": range(folds.PARTS)})
    for shop, split in (("abt_buy", "test"), ("amazon_google", "train")):
        splits = {pair.left: pair.split for pair in read_named(root, shop).pairs}
        assert splits == {f"A{at}": split if at % 5 else "valid" for at in range(60)}


def test_the_training_of_a_shop_never_seen_is_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[set[str], Any, Path]] = []

    def encoder(changes: Mapping[str, Any], root: Path) -> str:
        trained.append(({source["name"] for source in changes["sources"]}, changes["steps"], root))
        return "encoder"

    monkeypatch.setattr(folds, "encoder_of", encoder)
    monkeypatch.setattr(folds, "answers", lambda encoder, root, shop: (encoder, root, shop))
    found = folds.unseen({"steps": 80}, {shop: Path(shop) for shop in folds.SHOPS})
    assert trained == [
        ({"amazon_google", folds.OTHER}, 80, Path("abt_buy")),
        ({"abt_buy", folds.OTHER}, 80, Path("amazon_google")),
    ]
    assert found["abt_buy, never seen"] == ("encoder", Path("abt_buy"), "abt_buy")


def table(*ranks: int) -> Table:
    return Table("matches", [Answer(f"A{at}", False, np.array([rank])) for at, rank in enumerate(ranks)])


def called(monkeypatch: pytest.MonkeyPatch, data: Path, found: Any, *options: str) -> Result:
    """The benchmark on these data, without its trainings."""
    app = folds.typer.Typer()
    app.command()(folds.main)
    monkeypatch.setattr(folds, "MODELS", data.parent / "models")
    monkeypatch.setattr(folds, "tables", found)
    monkeypatch.setattr(folds, "unseen", lambda *of: dict.fromkeys(map(folds.UNSEEN.format, folds.SHOPS), table(1, 4)))
    return CliRunner().invoke(app, ["--data", str(data), *options])


def test_the_change_is_beside_the_recipe(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    def found(changes: Mapping[str, Any], roots: list[Path]) -> folds.Tables:
        assert (changes["steps"], [root.name for root in roots]) == (80, ["data0", "data1", "data2"])
        better = changes.get("network.lexical.scale") == 0.7
        return dict.fromkeys(folds.SHOPS, table(1, 1, 1, 12) if better else table(1, 2, 2, 12))

    done = called(monkeypatch, data, found, "--set", "network.lexical.scale=0.7", "--folds", "3")
    assert done.exit_code == 0, done.output
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["recipe"]["abt_buy"] == {"r1": 0.25, "r10": 0.75, "k995": 12.0}
    assert last["changed"]["amazon_google"]["r1"] == 0.75
    assert last["recipe"]["amazon_google, never seen"] == {"r1": 0.5, "r10": 1.0, "k995": 4.0}
    assert "+0.500 [+0.000, +1.000]" in done.stdout


def test_without_a_change_it_is_the_recipe_alone(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    done = called(monkeypatch, data, lambda *of: dict.fromkeys(folds.SHOPS, table(1, 2)))
    assert done.exit_code == 0, done.output
    assert list(json.loads(done.stdout.splitlines()[-1])) == ["recipe"]


def test_what_is_wrong_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "MODELS", tmp_path / "models")
    app = folds.typer.Typer()
    app.command()(folds.main)
    done = CliRunner().invoke(app, ["--data", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stderr == f"error: data set 'abt_buy' is not in {tmp_path}: name the folder that it lies in\n"
    assert CliRunner().invoke(app, ["--set", "steps"]).exit_code == 2


def test_answers_of_all_folds_are_one_table() -> None:
    assert [answer.ranks.tolist() for answer in folds.joined([table(1, 2), table(3)]).answers] == [[1], [2], [3]]
