"""Configurations: recipes, changes, and what is said of wrong ones."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from model.data.dataset import Dataset
from model.data.splits import held_out
from model.training import corpus
from model.training.config import (
    ConfigError,
    LossConfig,
    OptimiserConfig,
    Source,
    TrainConfig,
    from_file,
    recipe,
    recipes,
)
from model.training.corpus import read, read_source
from producer.product import Product

DOCS = Path(__file__).resolve().parents[3] / "docs" / "training.md"


def test_the_recipes_can_be_read() -> None:
    assert recipes() == ["chinese", "english", "fashion"]
    found = {name: recipe(name, {}) for name in recipes()}
    assert {config.name for config in found.values()} == {f"kinstream-{name}" for name in found}


@pytest.mark.parametrize("kind", [TrainConfig, LossConfig, OptimiserConfig, Source])
def test_the_documented_fields_are_those_of_the_code(kind: Any) -> None:
    text = DOCS.read_text()
    assert [name for name in kind.__struct_fields__ if f"`{name}`" not in text] == []


def test_a_changed_field_is_another_training() -> None:
    one, other = recipe("english", {}), recipe("english", {"loss.temperature": 0.05, "steps": 20})
    assert (other.loss.temperature, other.steps) == (0.05, 20)
    assert one.fingerprint() != other.fingerprint()
    assert one.fingerprint() == recipe("english", {}).fingerprint()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stepps": 3}, "unknown field `stepps`"),
        ({"steps": 0}, "recipe english: steps=0: Expected `int` >= 1: docs"),
        ({"steps": "many"}, "steps='many': Expected `int`, got `str`"),
        ({"loss.name": "hinge"}, "loss.name='hinge': Invalid enum value 'hinge'"),
        ({"loss.nane": "hinge"}, "loss=…: Object contains unknown field `nane`"),
        ({"sources": []}, "sources=…: Expected `array` of length >= 1"),
        ({"sources": [{"name": "abt_buy", "weight": -1}]}, "sources[0].weight=-1: Expected `float` > 0"),
        (
            {"sources": [{"name": "abt_buy", "group_by": ["price"]}]},
            "sources[0].group_by[0]='price': Expected `str` matching",
        ),
        ({"network.dim": 0}, "network.dim=0: Expected `int` >= 1"),
        ({"network.max_tokens": 2}, "network.max_tokens=2: Expected `int` >= 3"),
        ({"network.text.frozen_layers": -1}, "network.text.frozen_layers=-1: Expected `int` >= 0"),
        ({"network.text.dropout": 2}, "network.text.dropout=2: Expected `float` <= 1.0"),
        ({"network.text": {"kind": "cnn", "widths": []}}, "network.text.widths=…: Expected `array` of length >= 1"),
        ({"network.fusion.image_swap": 1.5}, "network.fusion.image_swap=1.5: Expected `float` <= 1.0"),
        ({"network.lexical.falloff": -1}, "network.lexical.falloff=-1: Expected `float` >= 0.0"),
        ({"network.lexical.longest": 0}, "network.lexical.longest=0: Expected `int` >= 1"),
        ({"network.lexical.digits": 0}, "network.lexical.digits=0: Expected `float` > 0.0"),
        ({"network.lexical.alone": 0.6}, "network.lexical=…: dropout=0.5 and alone=0.6 are shares of the steps"),
        ({"pretrained_share": 1.5}, "pretrained_share=1.5: Expected `float` <= 1.0"),
        (
            {"pretrained_share": 0.5, "network.text": {"kind": "cnn"}},
            "pretrained_share=0.5 wants a text encoder that was trained before: name one as network.text.source",
        ),
        ({"steps.more": 1}, "steps has no parts"),
    ],
)
def test_a_field_that_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        recipe("english", changes)
    assert message in str(refused.value)
    assert "docs/training.md" in str(refused.value)


def test_files_and_recipes_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no recipe 'klingon': name one of chinese, english, fashion"):
        recipe("klingon", {})
    with pytest.raises(ConfigError, match=r"nothing\.toml cannot be read"):
        from_file(tmp_path / "nothing.toml", {})
    (tmp_path / "bad.toml").write_text("steps = ")
    with pytest.raises(ConfigError, match=r"bad\.toml is not TOML"):
        from_file(tmp_path / "bad.toml", {})


def test_a_configuration_survives_its_json() -> None:
    for name in recipes():
        config = recipe(name, {})
        assert msgspec.json.decode(msgspec.json.encode(config), type=TrainConfig) == config


def test_what_is_held_out_is_not_learnt_from(config_of: Any, shop: Path) -> None:
    config = config_of()
    (source,) = config.sources
    whole = read(config, shop).parts[0]
    config = msgspec.structs.replace(config, sources=(msgspec.structs.replace(source, hold_out=0.25),))
    learnt = {item.product.id for item in read(config, shop).parts[0].items}
    hidden = held_out(read_source(shop, source), 0.25)
    assert hidden
    assert learnt == {item.product.id for item in whole.items} - hidden


def test_a_source_goes_without_the_products_of_others(
    config_of: Any, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(validation=[])
    (source,) = config.sources
    whole = {item.product.id for item in read(config, shop).parts[0].items}
    other = Dataset("other", {id: Product(id=id, title="lamp") for id in ("a1", "b4", "elsewhere")})
    monkeypatch.setattr(corpus, "read_named", lambda root, name: {"other": other}[name])
    part = read(
        msgspec.structs.replace(config, sources=(msgspec.structs.replace(source, without=("other",)),)), shop
    ).parts[0]
    assert {"a1", "b4"} <= whole
    learnt = {item.product.id for item in part.items}
    assert learnt.isdisjoint({"a1", "b4", "b1", "a4"}), "nor is what had no other partner"
    assert learnt == whole - {"a1", "b4", "b1", "a4"}
    assert not any(key.endswith("/a1") for keys in part.negatives.values() for key in keys)


def test_fields_make_groups_and_what_lacks_one_stands_alone(config_of: Any, shop: Path) -> None:
    config = config_of()
    source = msgspec.structs.replace(config.sources[0], group_by=("brand", "title"), views=True)
    part = read(msgspec.structs.replace(config, sources=(source,)), shop).parts[0]
    sizes = Counter(part.groups)
    told = {
        (item.product.brand, item.product.title): group for item, group in zip(part.items, part.groups, strict=True)
    }
    assert all(sizes[group] == 1 for (brand, _), group in told.items() if brand is None)
    by_brand = msgspec.structs.replace(source, group_by=("brand",))
    part = read(msgspec.structs.replace(config, sources=(by_brand,)), shop).parts[0]
    branded = {group for item, group in zip(part.items, part.groups, strict=True) if item.product.brand == "acme"}
    alone = [group for item, group in zip(part.items, part.groups, strict=True) if not item.product.brand]
    assert len(branded) == 1
    assert len(set(alone)) == len(alone) > 0
