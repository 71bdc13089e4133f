"""A shop of its own to train on: products told twice, and networks small enough for a test."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from model.training.batches import Collator, Steps
from model.training.categories import categories_of
from model.training.config import TrainConfig, from_file
from model.training.corpus import read

KINDS = ("camera", "kettle", "drill", "lamp", "router", "printer")
COLOURS = ("black", "white", "silver", "red")
PRODUCTS = 60


@pytest.fixture
def killed(tmp_path: Path) -> Callable[[TrainConfig, Path, Path], None]:
    """Begins a training in a process of its own, which SIGKILL ends before step 7."""

    def begin(config: TrainConfig, data: Path, out: Path) -> None:
        script = textwrap.dedent(f"""
            import os, signal, msgspec, torch
            from pathlib import Path
            from model.training import config, running, trainer
            torch.set_num_threads(1)
            learn = trainer.Trainer.entry
            def dying(self, number, step):
                if number == 7:
                    os.kill(os.getpid(), signal.SIGKILL)
                return learn(self, number, step)
            trainer.Trainer.entry = dying
            told = msgspec.json.decode({msgspec.json.encode(config)!r}, type=config.TrainConfig)
            running.train(told, Path("{data}"), Path("{out}"), Path("{tmp_path}"), "cpu", quiet=True)
        """)
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr

    return begin


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with products.jsonl and pairs.csv: 60 products, each in two tellings, a third of them for validation."""
    random = np.random.default_rng(5)
    folder = tmp_path / "shop"
    folder.mkdir()
    rows, pairs = [], []
    for number in range(PRODUCTS):
        kind, colour, code = KINDS[number % 6], COLOURS[number % 4], f"x{random.integers(100, 999)}{number}"
        rows.append({"id": f"a{number}", "title": f"{kind} {code} {colour}", "brand": "acme"})
        rows.append({"id": f"b{number}", "title": f"acme {colour} {kind} model {code}"})
        pairs.append([f"a{number}", f"b{number}", 1, "valid" if number % 3 == 0 else "train"])
        if number:
            pairs.append([f"a{number}", f"b{number - 1}", 0, "train"])
    (folder / "products.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (folder / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["left_id", "right_id", "label", "split"], *pairs])
    return folder


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A folder with a tokenizer of single characters and known words."""
    folder = tmp_path / "words"
    folder.mkdir()
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "acme", "model", *KINDS, *COLOURS, "x", *map(str, range(10))]
    tokenizer = Tokenizer(models.WordLevel({word: id for id, word in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(known[:4])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def config_of(shop: Path, words: Path, tmp_path: Path) -> Any:
    """Makes a configuration for a TextCNN on the shop; arguments are changes by dotted name."""
    file = tmp_path / "training.toml"
    file.write_text(f"""
        name = "tiny"
        licence = "none"
        tokenizer = "{words}"
        validation = ["products"]
        steps = 12
        batch = 8
        validate_every = 6
        checkpoint_every = 4
        [[sources]]
        products = "products.jsonl"
        pairs = "pairs.csv"
        [network]
        dim = 32
        [network.text]
        kind = "cnn"
        vocabulary = 64
        embedding = 16
        channels = 8
        [network.lexical]
        buckets = 512
        scale = 0.2
    """)

    def make(**changes: Any) -> TrainConfig:
        return from_file(file, {name.replace("__", "."): value for name, value in changes.items()})

    return make


@pytest.fixture
def stocked(shop: Path) -> Path:
    """The shop, with the category of every product but each fifth."""
    file = shop / "products.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for number, row in enumerate(rows):
        if number % 5:
            row["category"] = next(kind for kind in KINDS if kind in row["title"])
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return shop


@pytest.fixture
def telling(config_of: Any) -> Callable[..., Any]:
    """Makes a configuration that tells categories; the network has no dropout."""
    fixed = {"loss__category_weight": 0.5, "network__text__dropout": 0.0}
    return lambda **changes: config_of(**(fixed | changes))


@pytest.fixture
def steps_of(words: Path, stocked: Path) -> Callable[[TrainConfig], Steps]:
    """Makes the steps of a training on the shop with categories."""

    def make(config: TrainConfig) -> Steps:
        corpus = read(config, stocked)
        collator = Collator(Tokenizer.from_file(str(words / "tokenizer.json")), config.tokens, config.text, None)
        categories = categories_of(config, [item.product for item in corpus.items()])
        return Steps(corpus.parts, config, collator, lambda item: None, categories)

    return make
