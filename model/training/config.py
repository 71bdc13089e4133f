"""What a training is told: a TOML file, or one of the recipes that come with kinstream."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from model.bundle import TextSpec
from model.errors import ModelError
from model.network import NetworkConfig
from model.ranges import Count, Factor, Positive, Rate, Share
from model.training.precision import Wanted

RECIPES = files("model") / "recipes"

_PLACE = re.compile(r" - at `\$\.(?P<place>.+)`$")
_PARTS = re.compile(r"[^.\[\]]+")

Objective = Literal["infonce", "supcon", "labelled", "simclr", "moco", "byol"]


class ConfigError(ModelError):
    """A configuration that cannot be used; one line that names file, field, value and remedy."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where products and their groups come from.

    Attributes:
        name: of a data set that is known by name; of files of your own, as their products file is called.
        products: a file of your own; this and the following paths are relative to the folder of data sets.
        pairs: columns left_id, right_id, and maybe label, split.
        clusters: columns id, cluster_id.
        images: the folder or zip file of images.
        style: how the rows of ``products`` name things.
        mapping: product field -> column, where the style does not fit.
        language: of the texts: en, zh, or xx for several.
        splits: of its pairs, the matches and non-matches of which are learnt from.
        weight: how often beside other sources; each batch is of one source, whose products are hard for each other.
        views: also learn from products without a known partner, by two views of each; those of held out pairs never.
        hold_out: share of the products, by whole groups, that is not learnt from, where pairs do not say which: those that
            ``kinstream model evaluate`` asks are 0.2.
        without: names of data sets whose products, told by their ids, are not learnt from here: those that another source
            holds out some of.
        apart: leave out every group with a product of a held out match, where train and test know the same products.
        group_by: fields, ``attributes.NAME`` among them: products that agree in all of them are a group, in place of matches.
    """

    name: str = ""
    products: str = ""
    pairs: str = ""
    clusters: str = ""
    images: str = ""
    style: str = "plain"
    mapping: dict[str, str] = {}
    language: str = "xx"
    splits: tuple[str, ...] = ("train",)
    weight: Factor = 1.0
    views: bool = False
    hold_out: Share = 0.0
    without: tuple[str, ...] = ()
    apart: bool = False
    group_by: tuple[Annotated[str, Meta(pattern=r"^(title|brand|category|attributes\..+)$")], ...] = ()


class LossConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The objective.

    Attributes:
        name: infonce, supcon, labelled, simclr, moco or byol.
        temperature: divides similarities; BYOL has none.
        metric: compares vectors.
        sizes: also hold for the first so many numbers of a vector (Matryoshka).
        hard_negatives: take one of the labelled or mined ones for each pair, for infonce.
        queue: keys that MoCo remembers.
        momentum: of the slow network of MoCo and BYOL.
        category_weight: of a second task, to tell a product's category from its vector; 0 does without it.
        category_field: that names the category: ``category``, or ``attributes.NAME``.
        category_hidden: share of the products whose category is taken out of the text; only these are classified.
    """

    name: Objective = "infonce"
    temperature: Factor = 0.07
    metric: Literal["cosine", "euclidean"] = "cosine"
    sizes: tuple[Positive, ...] = ()
    hard_negatives: bool = True
    queue: Positive = 4096
    momentum: Share = 0.99
    category_weight: Rate = 0.0
    category_field: Annotated[str, Meta(pattern=r"^(category|attributes\..+)$")] = "category"
    category_hidden: Annotated[float, Meta(gt=0, le=1)] = 0.5


class OptimiserConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """AdamW with a linear warm-up and a cosine down to zero.

    Attributes:
        learning_rate: of pretrained parts.
        new_learning_rate: of parts that begin at random: heads, fusion, an encoder from scratch.
        lexical_learning_rate: of the weights of n-grams.
        weight_decay: of all but the weights of n-grams.
        warmup: share of the steps.
        clip: greatest norm of the gradient.
    """

    learning_rate: Rate = 5e-5
    new_learning_rate: Rate = 1e-3
    lexical_learning_rate: Rate = 1e-2
    weight_decay: Rate = 0.01
    warmup: Share = 0.1
    clip: Factor = 1.0


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of it.

    Attributes:
        name: of the model; stored with every generation that it makes.
        licence: of the weights, for the model card.
        sources: data sets to learn from.
        validation: names of data sets, or of sources of your own, whose split ``valid`` decides which checkpoint is best.
        network: the architecture.
        loss: the objective.
        optimiser: how steps are made.
        tokenizer: of which pretrained text encoder; its own for an encoder that has one.
        text: how a product becomes text.
        steps: how many.
        batch: pairs a step and process.
        chunk: rows embedded at a time; fewer than a batch has costs a further forward pass and saves memory.
        tokens: texts are cut here while training, at ``network.max_tokens`` later.
        view_strength: of text views, from 0 (none) to 1.
        image_view_strength: of image views, likewise.
        precision: of matrix products: fp32, bf16, fp16, or auto for half precision where the device computes in it.
        seed: of everything drawn.
        validate_every: steps.
        checkpoint_every: steps.
        patience: validations without a better one after which training ends.
        mine_every: steps after which hard negatives are mined anew from the lists of the network itself; 0 never.
        pretrained_share: the text encoder is validated and kept as a mean of its weights, of which those that it began with
            have this share: what a training forgets of shops that it does not see is half remembered.

    Raises:
        ValueError: there is a ``pretrained_share``, but the text encoder begins at random.
    """

    name: str
    licence: str
    sources: Annotated[tuple[Source, ...], Meta(min_length=1)]
    validation: tuple[str, ...] = ()
    network: NetworkConfig
    loss: LossConfig = LossConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    tokenizer: str = ""
    text: TextSpec = TextSpec()
    steps: Positive = 300
    batch: Annotated[int, Meta(ge=2)] = 64
    chunk: Positive = 256
    tokens: Positive = 64
    view_strength: Share = 0.1
    image_view_strength: Share = 0.0
    precision: Wanted = "fp32"
    seed: int = 1
    validate_every: Positive = 100
    checkpoint_every: Positive = 50
    patience: Positive = 5
    mine_every: Count = 0
    pretrained_share: Share = 0.0

    def __post_init__(self) -> None:
        """Check what two fields are together."""
        if self.pretrained_share > 0 and not getattr(self.network.text, "source", ""):
            raise ValueError(
                f"pretrained_share={self.pretrained_share} wants a text encoder that was trained before: name one as "
                "network.text.source, or set it to 0"
            )

    def fingerprint(self) -> str:
        """Of everything that a run depends on: another one may not go on from its checkpoints."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


def recipes() -> list[str]:
    """Names of those that come with kinstream."""
    return sorted(entry.name.removesuffix(".toml") for entry in RECIPES.iterdir() if entry.name.endswith(".toml"))


def recipe(name: str, changes: Mapping[str, Any]) -> TrainConfig:
    """One of the recipes, with changed fields.

    Raises:
        ConfigError: there is none of that name, or a change does not fit.
    """
    if name not in recipes():
        raise ConfigError(f"there is no recipe {name!r}: name one of {', '.join(recipes())}, or a file by --config")
    return _config((RECIPES / f"{name}.toml").read_text(), f"recipe {name}", changes)


def from_file(path: Path, changes: Mapping[str, Any]) -> TrainConfig:
    """A configuration from a TOML file, with changed fields.

    Raises:
        ConfigError: it cannot be read, or a field does not fit.
    """
    try:
        return _config(path.read_text(), str(path), changes)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}): name a TOML file") from None


def _config(text: str, where: str, changes: Mapping[str, Any]) -> TrainConfig:
    """Changes are named by dots: ``loss.temperature``."""
    try:
        given = tomllib.loads(text)
        for name, value in changes.items():
            _change(given, name, value)
        return msgspec.convert(given, TrainConfig, strict=False)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not TOML ({error}): mend that line") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_complaint(str(error), given)}: docs/training.md lists the fields") from None


def _complaint(error: str, given: Any) -> str:
    """The error with the field in front, and with the value that was given where there is one."""
    found = _PLACE.search(error)
    if found is None:
        return error
    place, value = found["place"], given
    try:
        for part in _PARTS.findall(place):
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (LookupError, TypeError, ValueError):
        return f"{place}: {error[: found.start()]}"
    shown = repr(value) if not isinstance(value, dict | list) else "…"
    return f"{place}={shown}: {error[: found.start()]}"


def _change(given: dict[str, Any], name: str, value: Any) -> None:
    *path, last = name.split(".")
    for part in path:
        given = given.setdefault(part, {})
        if not isinstance(given, dict):
            raise ConfigError(f"{name}={value}: {part} has no parts: docs/training.md lists the fields")
    given[last] = value
