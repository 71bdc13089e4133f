"""A whole training: from a configuration to a folder with checkpoints, log and tokenizer."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import torch
from tokenizers import Tokenizer

from model import image_encoders, pretrained
from model.bundle import TOKENIZER, ImageSpec
from model.lexical import LexicalBranch
from model.network import NetworkConfig, ProductEncoder, build
from model.text import product_text
from model.training import distributed, logbook, mining
from model.training.batches import Collator, Step, Steps
from model.training.categories import categories_of
from model.training.checkpoints import Checkpoints
from model.training.config import ConfigError, TrainConfig
from model.training.corpus import Corpus, read
from model.training.logbook import Bar, Entry, Logbook
from model.training.objectives import objective
from model.training.precision import remark
from model.training.trainer import Trainer, Validate, validated
from model.training.validation import Validation

CONFIG, CHECKPOINTS = "training.json", "checkpoints"


def train(config: TrainConfig, data: Path, out: Path, cache: Path, device: str = "auto", quiet: bool = False) -> None:
    """Train, or go on with what was begun in ``out``.

    Args:
        config: what to train.
        data: the folder of data sets.
        out: gets checkpoints, configuration, tokenizer and log.
        cache: where pretrained weights are kept.
        device: ``cpu``, ``cuda`` or ``auto``.
        quiet: show nothing.

    Raises:
        ConfigError: a part of the configuration cannot be had.
        CheckpointError: ``out`` is of another configuration, or of data with other categories.
        DataError, FetchError: data or pretrained weights cannot be had.
        Diverged: the loss is not finite.
    """
    place = distributed.begin(device)
    try:
        _seed(config.seed)  # every process begins with the same network
        run = Run(config, data, out, cache, place)
        _seed(config.seed + distributed.rank())  # and drops out others
        run.go(quiet)
    finally:
        distributed.end()


class Run:
    """One training in its folder."""

    def __init__(self, config: TrainConfig, data: Path, out: Path, cache: Path, device: torch.device) -> None:
        self._config = config
        self._out = out
        self._corpus = read(config, data)
        self._tokenizer_file = tokenizer_file(config, cache)
        tokenizer = Tokenizer.from_file(str(self._tokenizer_file))
        network = build(config.network, cache)
        _fit(network, tokenizer, self._corpus, config)
        image = image_spec(config.network)
        self._collator = Collator(tokenizer, config.tokens, config.text, image)
        whole = Collator(tokenizer, config.network.max_tokens, config.text, image)
        self._validate: Validate | None = None
        if self._corpus.validation:
            self._validate = Validation(self._corpus.validation, self._corpus.images, whole)
        self._whole = whole
        self._categories = categories_of(config, (item.product for item in self._corpus.items()))
        minimised = objective(config.loss, network, config.network.dim, self._categories.names)
        self._trainer = Trainer(config, network, minimised, device)
        self._remark = remark(device, config.precision)
        self._checkpoints = Checkpoints(out / CHECKPOINTS)

    def go(self, quiet: bool) -> None:
        """From where it stands to the end."""
        done = self._resume()
        steps = self._steps(done)
        log = Logbook(self._out, done) if distributed.rank() == 0 else None
        with Bar(self._config.steps, done, quiet or distributed.rank() > 0) as bar:
            if self._remark:
                bar.say(self._remark)
            if done:
                bar.say(f"going on from step {done}")
            for number in range(done + 1, self._config.steps + 1):
                if self._mines_before(number):
                    steps = self._mined(number - 1)
                entry = self._step(number, next(steps))
                if log is not None:
                    log.write(entry)
                bar.show(entry)
                if self._trainer.since_best >= self._config.patience:
                    bar.say(f"no better recall in {self._config.patience} validations: stopped at step {number}")
                    break
        if distributed.rank() == 0:
            logbook.plot(self._out)

    def _step(self, number: int, step: Step) -> Entry:
        """Train, validate and keep a checkpoint, the latter two when it is time."""
        entry = self._trainer.entry(number, step)
        last = number == self._config.steps
        if last or number % self._config.validate_every == 0:
            entry = validated(self._trainer, entry, self._checkpoints, self._validate)
        if distributed.rank() == 0 and (last or number % self._config.checkpoint_every == 0):
            self._checkpoints.save(self._trainer.state(number))
        return entry

    def _resume(self) -> int:
        """Load the newest checkpoint; returns the steps that are done."""
        found = self._checkpoints.newest(self._config.fingerprint())
        if found is not None:
            self._trainer.load(found, self._out)
            return found.step
        if distributed.rank() == 0:
            self._out.mkdir(parents=True, exist_ok=True)
            (self._out / CONFIG).write_bytes(msgspec.json.format(msgspec.json.encode(self._config), indent=2) + b"\n")
            shutil.copyfile(self._tokenizer_file, self._out / TOKENIZER)
        distributed.wait()
        return 0

    def _steps(self, done: int) -> Iterator[Step]:
        ranks = distributed.rank(), distributed.size()
        made = Steps(self._corpus.parts, self._config, self._collator, self._corpus.image, self._categories, ranks)
        found = mining.load(self._out, done) if self._config.mine_every else None
        if found is not None:
            made.mine(found.negatives)
        return made.from_step(done)

    def _mines_before(self, number: int) -> bool:
        every = self._config.mine_every
        return every > 0 and number > 1 and (number - 1) % every == 0

    def _mined(self, done: int) -> Iterator[Step]:
        """Look for hard negatives anew; the same in every process."""
        if distributed.rank() == 0:
            parts = self._corpus.parts
            mining.save(self._out, mining.mine(self._trainer.network, self._whole, parts, self._corpus.image, done))
        distributed.wait()
        return self._steps(done)


def tokenizer_file(config: TrainConfig, cache: Path) -> Path:
    """That of the configuration: of the text encoder, unless another one is named.

    Raises:
        ConfigError: none is named.
        FetchError: it cannot be had.
    """
    source = config.tokenizer or getattr(config.network.text, "source", "")
    if not source:
        raise ConfigError("tokenizer is empty: name a pretrained text encoder whose tokenizer to use, such as minilm")
    return pretrained.locate(source, cache) / TOKENIZER


def image_spec(config: NetworkConfig) -> ImageSpec | None:
    """How images become pixels for a network; None when it reads none."""
    return None if config.image is None else image_encoders.image_spec(config.image)


def _fit(network: ProductEncoder, tokenizer: Tokenizer, corpus: Corpus, config: TrainConfig) -> None:
    """Tell the lexical branch what it must know of vocabulary and corpus."""
    if not isinstance(network.lexical, LexicalBranch):
        return
    network.lexical.read_vocabulary(tokenizer)
    texts = [product_text(item.product, config.text) for item in corpus.items()]
    network.lexical.fit_idf([encoding.ids for encoding in tokenizer.encode_batch(texts)])


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
