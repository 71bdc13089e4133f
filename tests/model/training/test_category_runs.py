"""Trainings with categories as a second task: they learn both, go on, and are the same in chunks and processes."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from model.bundle import ENCODER
from model.checkpoint import CheckpointError
from model.export.run import export_run
from model.training.batches import Step
from model.training.checkpoints import Checkpoint, Checkpoints
from model.training.corpus import read
from model.training.running import CHECKPOINTS, Run, train

KINDS = ["drill", "kettle", "printer", "router"]
"""Of the products that are learnt from; cameras and lamps are for validation."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def state_of(out: Path) -> dict[str, Tensor]:
    """All weights at the end of a run, of the network and of what trained beside it."""
    found = Checkpoints(out / CHECKPOINTS).best()
    return {**found.network["weights"], "centres": found.state["extra"]["head.centres"]}


def test_it_learns_categories_beside_matches(telling: Any, stocked: Path, tmp_path: Path) -> None:
    """Of products whose category the text does not say; titles here have the word in them."""
    config = telling(steps=200, validate_every=200, loss__category_hidden=1.0)
    train(config, stocked, tmp_path / "run", tmp_path, "cpu", quiet=True)
    run = Run(config, stocked, tmp_path / "run", tmp_path, torch.device("cpu"))
    run._resume()
    products = [item.product for item in read(config, stocked).items() if item.product.category]
    assert len({product.category for product in products}) == len(KINDS)
    hidden = [msgspec.structs.replace(product, category=None) for product in products]
    vectors = run._trainer.network.eval()(**run._whole.inputs(hidden, [None] * len(hidden)))
    told = (vectors @ state_of(tmp_path / "run")["centres"].T).argmax(dim=1)
    right = [KINDS[number] == product.category for number, product in zip(told.tolist(), products, strict=True)]
    assert np.mean(right) > 0.9
    assert run._trainer.best > 0.8


def test_a_run_that_was_killed_ends_as_one_that_was_not(
    telling: Any, stocked: Path, killed: Any, tmp_path: Path
) -> None:
    config = telling(loss__name="moco", loss__queue=32)
    killed(config, stocked, tmp_path / "cut")
    for name in ("cut", "whole"):
        train(config, stocked, tmp_path / name, tmp_path, "cpu", quiet=True)
    one, other = state_of(tmp_path / "whole"), state_of(tmp_path / "cut")
    assert {name for name, value in one.items() if not torch.equal(value, other[name])} == set()


def test_chunks_give_the_same_steps_as_the_whole_batch(telling: Any, stocked: Path, tmp_path: Path) -> None:
    for chunk in (64, 6):
        train(telling(chunk=chunk), stocked, tmp_path / f"run-{chunk}", tmp_path, "cpu", quiet=True)
    one, other = state_of(tmp_path / "run-64"), state_of(tmp_path / "run-6")
    assert {name for name, value in one.items() if not torch.allclose(value, other[name], atol=2e-4)} == set()


GRADIENTS = """
    import msgspec, torch
    from pathlib import Path
    from model.training import config, distributed, running
    from model.training.batches import Step
    from model.training.labels import Labels
    folder = Path("{folder}")
    torch.set_num_threads(1)
    device = distributed.begin("cpu")
    given = torch.load(folder / "step.pt")
    share = given["pairs"] // distributed.size()
    def own(rows):
        return torch.cat([part.split(share)[distributed.rank()] for part in rows.split(given["pairs"])])
    labels = Labels(own(given["groups"]), own(given["categories"]), share)
    kept = torch.nn.utils.clip_grad_norm_
    found = []
    def noted(parameters, clip):
        found.extend(parameter.grad.clone() for parameter in parameters)
        return kept(parameters, clip)
    torch.nn.utils.clip_grad_norm_ = noted
    step = Step({{name: own(rows) for name, rows in given["inputs"].items()}}, labels)
    for told in msgspec.json.decode((folder / "configs.json").read_bytes(), type=list[config.TrainConfig]):
        torch.manual_seed(1)
        running.Run(told, folder / "shop", folder / "run", folder, device)._trainer.entry(1, step)
    torch.nn.utils.clip_grad_norm_ = kept
    torch.save(found, folder / f"gradients-{{distributed.size()}}-{{distributed.rank()}}.pt")
    distributed.end()
"""


def test_two_processes_have_the_gradients_of_one_with_the_rows_of_both(
    telling: Any, steps_of: Any, stocked: Path, tmp_path: Path, free_port: int
) -> None:
    """For infonce and BYOL: network, head and predictor."""
    configs = [telling(), telling(loss__name="byol")]
    (tmp_path / "configs.json").write_bytes(msgspec.json.encode(configs))
    torch.save(stored(next(steps_of(configs[0]).from_step(0))), tmp_path / "step.pt")
    script = tmp_path / "gradients.py"
    script.write_text(textwrap.dedent(GRADIENTS.format(folder=tmp_path)))
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port)}
    ranks = [subprocess.Popen([sys.executable, script], env=alone() | place | {"RANK": rank}) for rank in ("0", "1")]
    assert [rank.wait(200) for rank in ranks] == [0, 0]
    runpy.run_path(str(script))
    whole, first, second = (torch.load(tmp_path / f"gradients-{of}.pt") for of in ("1-0", "2-0", "2-1"))
    for one, two, three in zip(whole, first, second, strict=True):
        assert torch.equal(two, three)
        torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-6)


def stored(step: Step) -> dict[str, Any]:
    """The pairs of a step, without negatives."""
    rows, labels = slice(0, 2 * step.labels.pairs), step.labels
    inputs = {name: tensor[rows] for name, tensor in step.inputs.items()}
    return {
        "inputs": inputs,
        "groups": labels.groups[rows],
        "categories": labels.categories[rows],
        "pairs": labels.pairs,
    }


def alone() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


@pytest.mark.filterwarnings("ignore")
def test_the_head_is_in_the_checkpoint_and_not_in_the_bundle(telling: Any, stocked: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(telling(steps=4), stocked, out, tmp_path, "cpu", quiet=True)
    found = Checkpoints(out / CHECKPOINTS).best()
    assert found.state["extra"]["head.centres"].shape == (4, 32)
    assert not [name for name in found.network["weights"] if "centres" in name]
    export_run(out, out)
    graph = onnx.load(str(out / ENCODER)).graph
    assert [4, 32] not in [list(weights.dims) for weights in graph.initializer]
    assert [given.name for given in graph.input] == ["input_ids", "attention_mask"]


def test_data_with_other_categories_do_not_go_on(telling: Any, stocked: Path, tmp_path: Path) -> None:
    train(telling(), stocked, tmp_path / "run", tmp_path, "cpu", quiet=True)
    newest = tmp_path / "run" / CHECKPOINTS
    assert isinstance(Checkpoints(newest).newest(telling().fingerprint()), Checkpoint)
    file = stocked / "products.jsonl"
    file.write_text(file.read_text().replace('"category": "drill"', '"category": "torch"'))
    with pytest.raises(CheckpointError, match="has 4 categories, the data have 4 \\('drill' differs\\)"):
        train(telling(), stocked, tmp_path / "run", tmp_path, "cpu", quiet=True)
