"""Recipes are trained once and anew when they must be; the command ends in one line of JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import model_quality
import msgspec
import numpy as np
import pytest
import quality_figures
import torch
import typer
from encoder_speed import Race
from recipe_runs import KEY, RunError, fitted, trained, zero_shot
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from typer.testing import CliRunner, Result

from model.bundle import ENCODER, FORMAT, TOKENIZER, Manifest, load_manifest, sha256_of, write_manifest
from model.data.dataset import Dataset
from model.data.readers import read_own
from model.evaluation.report import Report
from model.published import KNOWN
from model.runtime import OnnxEncoder
from model.text_encoders import TransformerConfig, TransformerEncoder
from model.training.config import recipe
from producer.events import Product

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "desk", "lamp", "red"]
SHAPE = {
    "model_type": "bert",
    "vocab_size": 16,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 130,
}
EMPTY = Report(seed=0, resamples=1, cuts=[1], searches=[], pairs=[], geometry=[], differences=[], languages=[])


class Kinstream:
    """Stands for the commands: notes what is asked, and makes files that a bundle has."""

    def __init__(self, fails: bool = False) -> None:
        self.asked: list[Sequence[str]] = []
        self.fails = fails

    def __call__(self, arguments: Sequence[str]) -> None:
        self.asked.append(arguments)
        if arguments[1] == "train":
            folder = Path(arguments[arguments.index("--out") + 1])
            (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
            (folder / "checkpoints" / f"step-{len(self.asked)}.pt").touch()
            if self.fails:
                raise RunError("cut off")
        else:
            exported(Path(arguments[arguments.index("--out") + 1] if "--out" in arguments else arguments[2]))

    @property
    def done(self) -> list[str]:
        return [arguments[1] for arguments in self.asked]


def exported(folder: Path) -> None:
    for name in (ENCODER, TOKENIZER):
        (folder / name).write_text(name)
    write_manifest(
        folder,
        Manifest(
            format=FORMAT, name="any", dim=1, metric="cosine", max_tokens=1, inputs=(), source="", licence="",
            created_at="", sha256={name: sha256_of(folder / name) for name in (ENCODER, TOKENIZER)},
        ),
    )  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The files of the Chinese recipe, as far as a digest goes."""
    folder = tmp_path / "data" / "ali_ember_zh"
    folder.mkdir(parents=True)
    (folder / "pairs.csv.gz").write_bytes(b"pairs")
    return folder.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "chinese"


def train(folder: Path, data: Path, command: Kinstream, **changes: object) -> None:
    assert trained("chinese", changes, data, folder, data.parent / "cache", command) == folder


def test_a_recipe_is_trained_by_the_two_commands_and_then_taken(folder: Path, data: Path) -> None:
    command = Kinstream()
    train(folder, data, command, steps=4, validation=[])
    assert command.asked == [
        [
            "model", "train", "--recipe", "chinese", "--out", str(folder), "--data", str(data),
            "--cache", str(data.parent / "cache"), "--set", "steps=4", "--set", "validation=[]",
        ],
        ["model", "export", str(folder)],
    ]  # fmt: skip
    train(folder, data, command, steps=4, validation=[])
    assert command.done == ["train", "export"]


def test_what_was_cut_off_goes_on(folder: Path, data: Path) -> None:
    command = Kinstream(fails=True)
    with pytest.raises(RunError, match="cut off"):
        train(folder, data, command)
    command.fails = False
    train(folder, data, command)
    assert command.done == ["train", "train", "export"]
    assert (folder / "checkpoints" / "step-1.pt").exists(), "the first part is still there to go on from"


def test_a_damaged_bundle_is_made_again(folder: Path, data: Path) -> None:
    command = Kinstream()
    train(folder, data, command)
    (folder / ENCODER).write_text("cut")
    train(folder, data, command)
    assert command.done == ["train", "export"] * 2
    load_manifest(folder)


@pytest.mark.parametrize("changed", ["configuration", "data", "a file more"])
def test_another_configuration_or_other_data_begins_anew(folder: Path, data: Path, changed: str) -> None:
    command = Kinstream()
    train(folder, data, command)
    if changed == "data":
        (data / "ali_ember_zh" / "pairs.csv.gz").write_bytes(b"other pairs")
    if changed == "a file more":
        (data / "ali_ember_zh" / "clusters.csv.gz").touch()
    train(folder, data, command, **({"steps": 7} if changed == "configuration" else {}))
    assert command.done == ["train", "export"] * 2
    assert [file.name for file in (folder / "checkpoints").iterdir()] == ["step-3.pt"]


def test_data_of_other_sets_does_not_matter(folder: Path, data: Path) -> None:
    command = Kinstream()
    train(folder, data, command)
    (data / "abt_buy").mkdir()
    (data / "abt_buy" / "pairs.csv.gz").touch()
    train(folder, data, command)
    assert command.done == ["train", "export"]


def test_a_bundle_is_fitted_to_the_products_of_a_data_set(folder: Path, data: Path) -> None:
    command = Kinstream()
    train(folder, data, command)
    lamp = Product(id="b1", title="red lamp", attributes={"watts": 60})
    bundle = fitted(folder, Dataset("lamps", {"b1": lamp}), command)
    catalogue = Path(command.asked[-1][-1])
    assert command.asked[-1] == ["model", "export", str(folder), "--out", str(bundle), "--catalogue", str(catalogue)]
    assert read_own(catalogue).products == {"b1": lamp}
    load_manifest(bundle)
    train(folder, data, command, steps=7)
    assert not bundle.exists(), "it is no bundle of the new training"


def test_a_training_of_someone_else_is_left_alone(folder: Path, data: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "training.json").write_text("{}")
    command = Kinstream()
    with pytest.raises(RunError, match="that this benchmark did not make: move it elsewhere"):
        train(folder, data, command)
    assert command.asked == []
    assert [file.name for file in folder.iterdir()] == ["training.json"]
    assert not (folder / KEY).exists()


def test_a_pretrained_encoder_becomes_a_bundle_as_it_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, weights = published(tmp_path / "cache" / "bge-small-zh")
    monkeypatch.setitem(KNOWN, "bge-small-zh", msgspec.structs.replace(KNOWN["bge-small-zh"], heads=2))
    folder = zero_shot("bge-small-zh", tmp_path / "bundle", tmp_path / "cache")
    (vector,) = OnnxEncoder.load(folder, "cpu", 1).encode_texts(["red desk lamp"])
    with torch.inference_mode():
        first = encoder(torch.tensor([[2, 6, 4, 5, 3]]), torch.ones(1, 5, dtype=torch.int64))[0].numpy()
    np.testing.assert_allclose(vector, first / np.linalg.norm(first), atol=1e-5)
    manifest = load_manifest(folder)
    assert (manifest.name, manifest.dim, manifest.licence) == ("bge-small-zh", 16, "MIT")
    weights.rename(tmp_path / "elsewhere")
    assert zero_shot("bge-small-zh", folder, tmp_path / "cache") == folder, "a bundle that is there needs no weights"


def published(folder: Path) -> tuple[TransformerEncoder, Path]:
    """A tiny transformer, and its folder."""
    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        encoder = TransformerEncoder(TransformerConfig(shape=SHAPE, pooling="cls")).eval()
    encoder.network.save_pretrained(folder)
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(WORDS[:4])
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.save(str(folder / TOKENIZER))
    return encoder, folder


def test_the_trial_fits_every_recipe() -> None:
    for name in model_quality.SETS:
        assert recipe(name, model_quality.TRIAL).steps == 4
    measured = {name for sets in model_quality.SETS.values() for name in sets}
    assert measured == {*quality_figures.SETS.values(), quality_figures.FASHION}


def invoke(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(model_quality.main)
    return CliRunner().invoke(app, arguments)


def test_the_last_line_is_json_and_the_file_has_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def measure(names: list[str], quick: bool, data: Path, plots: Path | None) -> model_quality.Measured:
        asked.extend((names, quick))
        races = [Race("titles", 4.0, threads, 1, 8.0, 10.0, ratio) for threads, ratio in ((1, 0.5), (0, 0.8))]
        return model_quality.Measured({"english": EMPTY}, {"english": 12.34}, races)

    monkeypatch.setattr(model_quality, "_measure", measure)
    file = tmp_path / "new" / "all.json"
    done = invoke("--quick", "--only", "english,fashion", "--json", str(file))
    assert done.exit_code == 0, done.output
    assert asked == [["english", "fashion"], True]
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["speed_vs_minilm"] == 0.8, "of titles on all cores"
    written = json.loads(file.read_text())
    assert written["figures"] == last
    assert written["quick"] is True
    assert written["minutes"] == {"english": 12.34}
    assert written["races"][0]["ratio"] == 0.5
    assert msgspec.convert(written["reports"]["english"], Report) == EMPTY


def test_what_cannot_be_had_is_told_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_quality, "MODELS", tmp_path)
    monkeypatch.setattr(model_quality, "MINILM", tmp_path / "none")
    monkeypatch.setattr(model_quality, "trained", lambda *arguments: tmp_path / "none")
    done = invoke("--only", "english")
    assert done.exit_code == 1
    assert "none has no manifest.json: name the folder of a model bundle, or make one" in done.stderr
    assert invoke("--only", "english,klingon").exit_code == 2


def test_make_help_names_it(repo_root: Path) -> None:
    done = subprocess.run(["make", "help"], cwd=repo_root, capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("bench-model "))
    assert "JSON" in line
    assert (repo_root / "ops" / "bench" / "model_quality.py").is_file()
