"""A trained network to a model bundle that serves (docs/model-bundle.md)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

from model.bundle import ENCODER, FORMAT, MANIFEST, TOKENIZER, Manifest, TextSpec, sha256_of, write_manifest
from model.export.card import Card, write_card
from model.export.checking import ExportError, check
from model.export.onnx_file import inputs_of, write_onnx
from model.image_encoders import image_spec
from model.network import ProductEncoder
from model.runtime import OnnxEncoder


class About(msgspec.Struct, frozen=True):
    """What the manifest says of a model: its name, where its weights came from, and under which terms."""

    name: str
    source: str
    licence: str


def export(
    network: ProductEncoder,
    tokenizer: Tokenizer,
    folder: Path,
    about: About,
    card: Card,
    text: TextSpec | None = None,
    dim: int | None = None,
) -> Manifest:
    """Make a bundle: graph, tokenizer, manifest and card, checked against the network and loaded once as for serving.

    Args:
        network: on the CPU and in evaluation mode.
        tokenizer: the one that the network was trained with.
        folder: a new one, or one of a bundle, which is replaced.
        about: name, source and licence.
        card: what people should know.
        text: how a product becomes text; as the network was trained.
        dim: of the vectors, if shorter than the network's.

    Raises:
        ExportError: the graph does not agree with the network, the network was not trained with this tokenizer, or the
            folder holds something else.
    """

    _check_vocabulary(network, tokenizer)

    def fill(made: Path) -> Manifest:
        write_onnx(network, made / ENCODER, dim)
        difference = check(network, made / ENCODER, dim)
        tokenizer.save(str(made / TOKENIZER))
        manifest = _manifest(network, made, about, text or TextSpec(), dim)
        write_manifest(made, manifest)
        write_card(made, manifest, card, difference)
        return manifest

    return placed(folder, fill)


def placed(folder: Path, fill: Callable[[Path], Manifest]) -> Manifest:
    """Let ``fill`` make a bundle beside the folder, load it once as for serving, and put it in place at once.

    Raises:
        ExportError: the folder holds something else than a bundle.
        BundleError: the new bundle cannot be served.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} exists and is no model bundle: name a new folder, or remove it yourself")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / "bundle"
        made.mkdir()
        manifest = fill(made)
        OnnxEncoder.load(made, "cpu")
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    return manifest


def _check_vocabulary(network: ProductEncoder, tokenizer: Tokenizer) -> None:
    if (known := tokenizer.get_vocab_size()) > network.text.vocabulary:
        raise ExportError(
            f"the tokenizer has {known} tokens, the network {network.text.vocabulary}: export it with its own tokenizer"
        )
    if network.lexical is not None and not network.lexical.has_read(tokenizer):
        raise ExportError(
            "the lexical branch has read another tokenizer, or none: call read_vocabulary before training, and export with "
            "the same tokenizer"
        )


def _manifest(network: ProductEncoder, made: Path, about: About, text: TextSpec, dim: int | None) -> Manifest:
    config = network.config
    return Manifest(
        format=FORMAT,
        name=about.name,
        dim=dim or config.dim,
        metric="cosine",
        max_tokens=config.max_tokens,
        inputs=inputs_of(network),
        sha256={name: sha256_of(made / name) for name in (ENCODER, TOKENIZER)},
        source=about.source,
        licence=about.licence,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        text=text,
        image=image_spec(config.image) if config.image else None,
    )
