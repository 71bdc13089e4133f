"""Bundles to measure: those of the recipes, each trained once and kept, and pretrained encoders as they were published."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from tokenizers import Tokenizer

from model import pretrained
from model.bundle import TOKENIZER, BundleError, load_manifest, sha256_of
from model.data.dataset import Dataset
from model.errors import ModelError
from model.export.bundle import About, export
from model.export.card import Card
from model.network import NetworkConfig, build
from model.published import KNOWN
from model.text_encoders import TransformerConfig, shape_of
from model.training import logbook
from model.training.config import TrainConfig, recipe

KEY = "benchmark.key"
"""In the folder of a training that is ours to replace."""
ROOT = Path(__file__).resolve().parents[2]
KINSTREAM = (sys.executable, "-m", "consumer")

Changes = Mapping[str, Any]
Command = Callable[[Sequence[str]], None]
"""Runs ``kinstream`` with these arguments."""


class RunError(ModelError):
    """A bundle that cannot be had; one line that says what to do."""


def kinstream(arguments: Sequence[str]) -> None:
    """Run the command; what it says goes to stderr.

    Raises:
        RunError: it failed, and has said why.
    """
    if subprocess.run([*KINSTREAM, *arguments], cwd=ROOT, stdout=sys.stderr, check=False).returncode != 0:
        raise RunError(f"kinstream {' '.join(arguments)} failed: see its error above")


def trained(name: str, changes: Changes, data: Path, folder: Path, cache: Path, command: Command = kinstream) -> Path:
    """The bundle of a recipe, as the two commands make it; one that is there is taken.

    A training that was cut off goes on. One with another configuration or other data begins anew. The code of training is
    not looked at: remove the folder to measure a change of it.

    Args:
        name: of the recipe.
        changes: fields by dotted name, as ``--set`` has them.
        data: the folder of data sets.
        folder: of the training and its bundle.
        cache: where pretrained weights are kept.
        command: runs ``kinstream``.

    Raises:
        ConfigError: there is no such recipe.
        RunError: a command failed, or the folder has a training that this did not begin.
    """
    key = key_of(recipe(name, changes), data)
    if not _continues(folder, key):
        _begin(folder, key)
    if not _is_bundle(folder):
        sets = [word for field, value in changes.items() for word in ("--set", _assigned(field, value))]
        places = ["--out", str(folder), "--data", str(data), "--cache", str(cache)]
        command(["model", "train", "--recipe", name, *places, *sets])
        command(["model", "export", str(folder)])
    return folder


def fitted(run: Path, catalogue: Dataset, command: Command = kinstream) -> Path:
    """A bundle of a training with the weights of n-grams of a catalogue, of which no label is looked at.

    Args:
        run: of the training; the bundle is in a folder of its own inside, made anew each time.
        catalogue: whose products it is fitted to.
        command: runs ``kinstream``.

    Raises:
        RunError: the command failed.
    """
    folder = run / f"fitted-{catalogue.name}"
    folder.mkdir(exist_ok=True)
    file = folder / "catalogue.jsonl"
    file.write_bytes(msgspec.json.Encoder().encode_lines(catalogue.products.values()))
    command(["model", "export", str(run), "--out", str(folder), "--catalogue", str(file)])
    return folder


def key_of(config: TrainConfig, data: Path) -> str:
    """Of a configuration and of every byte of the data sets that it names."""
    digest = hashlib.sha256(config.fingerprint().encode())
    for file in _files(config, data):
        digest.update(f"{file.relative_to(data)} {sha256_of(file)}\n".encode())
    return digest.hexdigest()


def minutes(folder: Path) -> float:
    """What the steps of a training took, without its validations."""
    return sum(entry.seconds for entry in logbook.read(folder / "log.csv")) / 60


def zero_shot(source: str, folder: Path, cache: Path) -> Path:
    """The bundle of a pretrained text encoder, pooled as it was trained to; one that is there is taken.

    Raises:
        FetchError: the weights cannot be had.
        ExportError: the folder has something else.
    """
    if not _is_bundle(folder):
        weights, known = pretrained.locate(source, cache), KNOWN[source]
        text = TransformerConfig(source=source, pooling=known.pooling)
        config = NetworkConfig(text=text, dim=shape_of(weights)["hidden_size"], projection="identity")
        tokenizer = Tokenizer.from_file(str(weights / TOKENIZER))
        about = About(source, known.source, known.licence)
        export(build(config, cache).eval(), tokenizer, folder, about, Card())
    return folder


def _files(config: TrainConfig, data: Path) -> Iterator[Path]:
    """Those of the data sets that a recipe names."""
    without = (name for source in config.sources for name in source.without)
    names = {*without, *config.validation, *(source.name for source in config.sources)}
    for name in sorted(names):
        yield from sorted(file for file in (data / name).rglob("*") if file.is_file())


def _continues(folder: Path, key: str) -> bool:
    file = folder / KEY
    return file.is_file() and file.read_text() == key


def _begin(folder: Path, key: str) -> None:
    """An empty folder with the key."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / KEY).is_file():
        raise RunError(f"{folder} has something that this benchmark did not make: move it elsewhere")
    if folder.is_dir():
        _empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / KEY).write_text(key)


def _empty(folder: Path) -> None:
    """Remove what is in it, the key last: a folder without one would be taken for someone else's."""
    for file in sorted(folder.rglob("*"), reverse=True):
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
        elif file != folder / KEY:
            file.unlink()


def _is_bundle(folder: Path) -> bool:
    try:
        load_manifest(folder)
    except BundleError:
        return False
    return True


def _assigned(field: str, value: Any) -> str:
    return f"{field}={msgspec.json.encode(value).decode()}"
