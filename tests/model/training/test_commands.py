"""``kinstream model`` as an ML engineer types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from consumer.__main__ import main
from model.runtime import OnnxEncoder


@pytest.fixture
def kinstream(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    torch.set_num_threads(1)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["kinstream", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code
        said = capsys.readouterr()
        return (code if isinstance(code, int) else 0), said.out, said.err

    return call


@pytest.fixture
def run(kinstream: Any, config_of: Any, shop: Path, tmp_path: Path) -> Path:
    config_of()
    command = ("model", "train", "--config", tmp_path / "training.toml", "--data", shop, "--out", tmp_path / "run")
    code, _, said = kinstream(*command, "--quiet", "--set", "steps=6", "--device", "cpu")
    assert code == 0, said
    assert f"kinstream model export {tmp_path / 'run'}" in said
    return tmp_path / "run"


@pytest.mark.filterwarnings("ignore")
def test_train_export_evaluate_compare(kinstream: Any, run: Path, shop: Path, tmp_path: Path) -> None:
    code, _, said = kinstream("model", "export", run)
    assert code == 0, said
    assert f"KINSTREAM_MODEL={run}" in said
    assert OnnxEncoder.load(run, "cpu").dim == 32
    assert "products" in (run / "MODEL_CARD.md").read_text()
    code, _, said = kinstream("model", "export", run, "--variant", "int8", "--out", tmp_path / "small")
    assert code == 0, said
    assert "cosine to fp32" in said
    catalogue = shop / "products.jsonl"
    code, out, said = kinstream("model", "compare", run, tmp_path / "small", "--catalogue", catalogue, "--json")
    assert code == 0, said
    assert json.loads(out)["products"] == 120
    assert json.loads(out)["overlap"] > 0.9


@pytest.mark.filterwarnings("ignore")
def test_n_grams_weigh_as_a_catalogue_has_them(kinstream: Any, run: Path, tmp_path: Path) -> None:
    products = tmp_path / "kettles.jsonl"
    products.write_text("".join(json.dumps({"id": f"k{n}", "title": f"kettle {n}"}) + "\n" for n in range(99)))
    line = "weights of n-grams are those of 99 products in kettles.jsonl"
    for name, option in (("trained", ()), ("fitted", ("--catalogue", products))):
        code, _, said = kinstream("model", "export", run, "--out", tmp_path / name, *option)
        assert code == 0, said
        assert (line in said) == bool(option)
        assert (line in (tmp_path / name / "MODEL_CARD.md").read_text()) == bool(option)
    encoders = [OnnxEncoder.load(tmp_path / name, "cpu") for name in ("trained", "fitted")]
    assert encoders[0].digest != encoders[1].digest, "lists of the one are not mixed with those of the other"
    one, two = (encoder.encode_texts(["acme red kettle model x12", "drill x7 black"]) for encoder in encoders)
    assert (abs(one - two).max(axis=1) > 0.001).all()


def test_export_of_what_is_no_training_is_one_line(kinstream: Any, tmp_path: Path) -> None:
    code, _, said = kinstream("model", "export", tmp_path)
    assert code == 1
    assert said.startswith(f"kinstream: {tmp_path} is no folder of a training")
    assert said.count("\n") == 1


def test_an_unknown_variant_is_named(kinstream: Any, run: Path) -> None:
    code, _, said = kinstream("model", "export", run, "--variant", "int4")
    assert (code, said) == (1, "kinstream: variant='int4' is not known: choose one of fp32, fp16, int8\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name one of --recipe (there are chinese, english, fashion) and --config"),
        (("--recipe", "english", "--set", "steps"), "--set steps: write it as field=value"),
        (("--recipe", "klingon"), "there is no recipe 'klingon'"),
        (("--recipe", "english", "--set", "steps=none"), "Expected `int`"),
    ],
)
def test_wrong_options_are_one_line(kinstream: Any, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    code, _, said = kinstream("model", "train", "--out", tmp_path / "run", *arguments)
    assert code in {1, 2}
    assert message in said
    assert said.count("\n") == 1


def test_a_data_set_that_is_not_there_is_one_line(kinstream: Any, tmp_path: Path) -> None:
    code, _, said = kinstream("model", "train", "--recipe", "english", "--out", tmp_path / "run", "--data", tmp_path)
    assert code == 1
    assert "data set 'abt_buy' is not in" in said
