"""The bundle of a training: its best checkpoint, exported."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec
import torch
from tokenizers import Tokenizer

from model.bundle import ENCODER, MANIFEST, TOKENIZER, TextSpec
from model.checkpoint import unpacked
from model.errors import ModelError
from model.export.bundle import About, export
from model.export.card import CARD, Card
from model.export.catalogue import fit_to_catalogue
from model.export.drift import drift
from model.export.variants import Kind, variant
from model.network import NetworkConfig, ProductEncoder
from model.published import KNOWN
from model.runtime import OnnxEncoder
from model.training import logbook
from model.training.checkpoints import BEST, Checkpoint, Checkpoints
from model.training.config import Source, TrainConfig
from model.training.running import CHECKPOINTS, CONFIG
from producer.events import Product
from producer.progress import Shown, silent

FULL = "fp32"
KINDS = (FULL, *get_args(Kind))
FILES = (ENCODER, TOKENIZER, CARD, MANIFEST)
"""Of a bundle; the manifest last, so that a folder with one has the others."""
PROBES = 200
"""Texts that a variant's drift is measured on."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Products to fit the weights of n-grams to.

    Attributes:
        name: how the model card calls it.
        products: all of them.
        shown: takes how many are done, and of how many.
    """

    name: str
    products: Sequence[Product]
    shown: Shown = silent


def export_run(
    run: Path, out: Path, kind: str = FULL, dim: int | None = None, catalogue: Catalogue | None = None
) -> list[str]:
    """Make a bundle of the best checkpoint of a training.

    Args:
        run: folder of the training.
        out: folder of the bundle, which may be the same.
        kind: fp32, fp16 or int8.
        dim: keep the first so many numbers of a vector; None keeps all.
        catalogue: None keeps the weights of n-grams of the training.

    Returns:
        What was made, a line each.

    Raises:
        ModelError: there is no such kind, no finished training, nothing to fit to a catalogue, or the bundle does not
            agree with the network.
    """
    if kind not in KINDS:
        raise ModelError(f"variant={kind!r} is not known: choose one of {', '.join(KINDS)}")
    config = _config(run)
    best = Checkpoints(run / CHECKPOINTS).best()
    tokenizer = Tokenizer.from_file(str(run / TOKENIZER))
    network = unpacked(best.network, run / CHECKPOINTS / BEST)
    fitted = [] if catalogue is None else [_fitted(network, tokenizer, config.text, catalogue)]
    card = _card(run, config, best, fitted)
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        made = Path(scratch) / FULL
        about = About(config.name, _source_of(config.network), config.licence)
        manifest = export(network, tokenizer, made, about, card, config.text, dim)
        lines = [f"{manifest.name}: {manifest.dim} dimensions, from step {best.step}, agrees with torch", *fitted]
        if kind != FULL:
            variant(made, Path(scratch) / kind, kind)  # type: ignore[arg-type]  # checked above
            lines.append(_drift_of(made, Path(scratch) / kind))
        _place(Path(scratch) / kind, out)
    return [*lines, f"wrote {out}; serve it with KINSTREAM_MODEL={out}"]


def _config(run: Path) -> TrainConfig:
    try:
        return msgspec.json.decode((run / CONFIG).read_bytes(), type=TrainConfig)
    except (OSError, msgspec.DecodeError) as error:
        raise ModelError(
            f"{run} is no folder of a training ({error}): train first, with kinstream model train"
        ) from None


def _source_of(config: NetworkConfig) -> str:
    """Where the weights began."""
    names = [getattr(config.text, "source", ""), config.image.source if config.image else ""]
    known = [KNOWN[name].source if name in KNOWN else name for name in names if name]
    return f"trained by kinstream, from {' and '.join(known) or 'random weights'}"


def _fitted(network: ProductEncoder, tokenizer: Tokenizer, spec: TextSpec, catalogue: Catalogue) -> str:
    """Fit the weights of n-grams; returns what to say of it."""
    fit_to_catalogue(network, tokenizer, spec, catalogue.products, catalogue.shown)
    return f"weights of n-grams are those of {len(catalogue.products):,} products in {catalogue.name}"


def _card(run: Path, config: TrainConfig, best: Checkpoint, fitted: Sequence[str]) -> Card:
    validated = [
        entry for entry in logbook.read(run / "log.csv") if entry.step == best.step and entry.recall is not None
    ]
    names = ", ".join(config.validation)
    metrics: tuple[dict[str, str | float], ...] = tuple(
        {"data set": names, "split": "valid", "recall@1, mean": entry.recall or 0.0} for entry in validated
    )
    training = (
        f"Loss: {config.loss.name}, temperature {config.loss.temperature}, {config.batch} pairs a batch, seed {config.seed}",
        f"Best of {config.steps} steps by validation: step {best.step}",
        *(f"After training, {line}; the metrics were measured before" for line in fitted),
    )
    return Card(data=tuple(_told(source) for source in config.sources), metrics=metrics, training=training)


def _told(source: Source) -> str:
    return f"{source.name or source.products}: splits {', '.join(source.splits)}; see its owner for the licence"


def _drift_of(full: Path, other: Path) -> str:
    """How far the vectors of a variant are from those in full precision."""
    texts = [
        f"product {number} model x{number * 37 % 1000} {'black' if number % 2 else 'white'}" for number in range(PROBES)
    ]
    one, two = (OnnxEncoder.load(folder, "cpu").encode_texts(texts) for folder in (full, other))
    found = drift(one, two)
    return f"cosine to fp32: mean {found.cosine_mean:.4f}, least {found.cosine_min:.4f}; overlap@10 {found.overlap:.3f}"


def _place(made: Path, out: Path) -> None:
    """Put the files of a bundle into a folder, the manifest last."""
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    for name in FILES:
        scratch = out / f"{name}.part"
        shutil.copyfile(made / name, scratch)
        scratch.replace(out / name)
