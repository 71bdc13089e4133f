"""A whole training: learns, can be repeated, and goes on after any end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from model.checkpoint import CheckpointError
from model.data.errors import DataError
from model.network import ProductEncoder
from model.text_encoders import TransformerConfig, TransformerEncoder
from model.training import logbook
from model.training.checkpoints import Checkpoints
from model.training.config import TrainConfig
from model.training.running import CHECKPOINTS, train
from model.training.trainer import Diverged, Trainer, branch_of
from model.training.validation import Validation

MATRIX = "network.encoder.layer.1.output.dense.weight"
SHAPE = {
    "model_type": "bert",
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 130,
}
OBJECTIVES = ("infonce", "supcon", "labelled", "simclr", "moco", "byol")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def pretrained(words: Path) -> Path:
    """A folder with a small transformer, beside its tokenizer."""
    TransformerEncoder(TransformerConfig(shape=SHAPE)).network.save_pretrained(words)
    return words


def newest(out: Path, config: TrainConfig) -> dict[str, torch.Tensor]:
    checkpoint = Checkpoints(out / CHECKPOINTS).newest(config.fingerprint())
    assert checkpoint is not None
    found: dict[str, torch.Tensor] = checkpoint.network["weights"]
    return found


def weights(out: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = Checkpoints(out / CHECKPOINTS).best().network["weights"]
    return found


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_it_learns_to_tell_products_apart(config_of: Any, shop: Path, tmp_path: Path) -> None:
    train(config_of(steps=60, validate_every=60), shop, tmp_path / "run", tmp_path, "cpu", quiet=True)
    entries = logbook.read(tmp_path / "run" / "log.csv")
    assert [entry.step for entry in entries] == list(range(1, 61))
    assert entries[-1].loss < entries[0].loss / 2
    assert (entries[-1].recall or 0) > 0.8
    assert (tmp_path / "run" / "log.svg").stat().st_size > 1000


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains(config_of: Any, shop: Path, tmp_path: Path, name: str) -> None:
    train(config_of(loss__name=name, loss__queue=32), shop, tmp_path / "run", tmp_path, "cpu", quiet=True)
    assert [entry.step for entry in logbook.read(tmp_path / "run" / "log.csv")] == list(range(1, 13))


@pytest.mark.parametrize(
    ("changes", "last"),
    [({}, 6), ({"loss__name": "moco", "loss__queue": 32}, 6), ({"mine_every": 5}, 6), ({"mine_every": 5}, 10)],
)
def test_a_run_that_was_cut_off_ends_as_one_that_was_not(
    config_of: Any, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], last: int
) -> None:
    config = config_of(**changes)
    train(config, shop, tmp_path / "whole", tmp_path, "cpu", quiet=True)
    learn = Trainer.entry

    def failing(self: Trainer, number: int, step: Any) -> Any:
        if number > last:
            raise KeyboardInterrupt
        return learn(self, number, step)

    monkeypatch.setattr(Trainer, "entry", failing)
    with pytest.raises(KeyboardInterrupt):
        train(config, shop, tmp_path / "cut", tmp_path, "cpu", quiet=True)
    monkeypatch.undo()
    train(config, shop, tmp_path / "cut", tmp_path, "cpu", quiet=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    steps = [entry.step for entry in logbook.read(tmp_path / "cut" / "log.csv")]
    assert steps == list(range(1, 13))


def test_a_run_that_was_killed_goes_on(config_of: Any, shop: Path, killed: Any, tmp_path: Path) -> None:
    config = config_of()
    killed(config, shop, tmp_path / "run")
    assert Checkpoints(tmp_path / "run" / CHECKPOINTS).newest(config.fingerprint()).step == 4  # type: ignore[union-attr]
    train(config, shop, tmp_path / "run", tmp_path, "cpu", quiet=True)
    assert [entry.step for entry in logbook.read(tmp_path / "run" / "log.csv")] == list(range(1, 13))


def test_chunks_give_the_same_steps_as_the_whole_batch(config_of: Any, shop: Path, tmp_path: Path) -> None:
    """Without dropout; with it the random numbers fall on other rows."""
    shares = {"network__lexical__dropout": 0.4, "network__lexical__alone": 0.3}
    for chunk in (64, 6):
        config = config_of(chunk=chunk, network__text__dropout=0.0, **shares)
        train(config, shop, tmp_path / f"run-{chunk}", tmp_path, "cpu", quiet=True)
    one, other = weights(tmp_path / "run-64"), weights(tmp_path / "run-6")
    assert all(torch.allclose(value, other[name], atol=2e-4) for name, value in one.items())


def test_branches_are_drawn_by_step_at_their_rates(config_of: Any) -> None:
    config = config_of(network__lexical__dropout=0.2, network__lexical__alone=0.5)
    drawn = Counter(branch_of(config, number) for number in range(2000))
    assert [round(drawn[branch] / 2000, 1) for branch in ("dense", "lexical", "all")] == [0.2, 0.5, 0.3]
    assert [branch_of(config, 7) for _ in range(3)] == [branch_of(config, 7)] * 3
    assert {branch_of(config_of(), number) for number in range(50)} == {"all"}


def test_two_processes_learn_from_one_batch_of_both(config_of: Any, shop: Path, tmp_path: Path) -> None:
    config_of()
    script = tmp_path / "rank.py"
    script.write_text(
        textwrap.dedent(f"""
        import torch
        from pathlib import Path
        from model.training import config, distributed, running
        torch.set_num_threads(1)
        end = distributed.end
        def compare():
            own = torch.cat([p.detach().flatten() for p in made[0]._trainer.network.parameters()])
            both = distributed.gathered(own[None])
            assert torch.equal(both[0], both[1]), (both[0] - both[1]).abs().max()
            end()
        distributed.end = compare
        made = []
        begin = running.Run.__init__
        def noted(self, *arguments):
            begin(self, *arguments)
            made.append(self)
        running.Run.__init__ = noted
        shop, out = Path("{shop}"), Path("{tmp_path / "run"}")
        running.train(config.from_file(Path("{tmp_path / "training.toml"}"), {{}}), shop, out,
                      Path("{tmp_path}"), "cpu", quiet=True)
    """)
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr[:3000]
    assert [entry.step for entry in logbook.read(tmp_path / "run" / "log.csv")] == list(range(1, 13))


def test_training_stops_when_nothing_gets_better(config_of: Any, shop: Path, tmp_path: Path) -> None:
    config = config_of(steps=40, validate_every=2, patience=3, optimiser__learning_rate=0, optimiser__new_learning_rate=0,
                       optimiser__lexical_learning_rate=0)  # fmt: skip
    train(config, shop, tmp_path / "run", tmp_path, "cpu", quiet=True)
    assert [entry.step for entry in logbook.read(tmp_path / "run" / "log.csv")][-1] == 8


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(
    config_of: Any, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of()
    learn = Trainer._learn

    def spoilt(self: Trainer, number: int, step: Any) -> float:
        if number == 6:
            next(self.network.parameters()).data.fill_(float("nan"))
        return learn(self, number, step)

    monkeypatch.setattr(Trainer, "_learn", spoilt)
    with pytest.raises(Diverged, match=r"the loss is nan at step 6 .*lower optimiser.learning_rate"):
        train(config, shop, tmp_path / "run", tmp_path, "cpu", quiet=True)
    found = Checkpoints(tmp_path / "run" / CHECKPOINTS).newest(config.fingerprint())
    assert found is not None
    assert found.step == 4
    assert all(torch.isfinite(value).all() for value in found.network["weights"].values())


def test_what_is_kept_is_a_mean_of_trained_and_pretrained_weights(
    config_of: Any, shop: Path, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[torch.Tensor] = []

    def noted(self: Validation, network: ProductEncoder) -> float:
        asked.append(network.text.state_dict()[MATRIX].clone())
        return len(asked)

    monkeypatch.setattr(Validation, "__call__", noted)
    text = {"kind": "transformer", "source": str(pretrained), "frozen_layers": 1}
    configs = [
        config_of(network__text=text, pretrained_share=share, optimiser__learning_rate=0.01) for share in (0.0, 0.25)
    ]
    outs = [tmp_path / "own", tmp_path / "mean"]
    for config, out in zip(configs, outs, strict=True):
        train(config, shop, out, tmp_path, "cpu", quiet=True)
    own, mean = map(weights, outs)
    begun = {f"text.network.{name}": weight for name, weight in load_file(pretrained / "model.safetensors").items()}
    for name, weight in mean.items():
        expected = torch.lerp(own[name], begun[name], 0.25) if name in begun else own[name]
        assert torch.allclose(weight, expected, atol=1e-6), name
    assert (own[f"text.{MATRIX}"] - begun[f"text.{MATRIX}"]).abs().max() > 0.01
    assert torch.equal(asked[3], mean[f"text.{MATRIX}"]), "it is validated as it is kept"
    assert same(*map(newest, outs, configs)), "the training itself is the same"


def test_another_configuration_does_not_go_on(config_of: Any, shop: Path, tmp_path: Path) -> None:
    train(config_of(), shop, tmp_path / "run", tmp_path, "cpu", quiet=True)
    with pytest.raises(CheckpointError, match="made with another configuration"):
        train(config_of(batch=4), shop, tmp_path / "run", tmp_path, "cpu", quiet=True)


def test_a_source_that_is_not_there_is_named(config_of: Any, shop: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data set 'nothing' is not known"):
        train(config_of(validation=["nothing"]), shop, tmp_path / "run", tmp_path, "cpu", quiet=True)
