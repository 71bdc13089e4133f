"""Categories as a second task: what is told, from which text, and by which head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.bundle import TextSpec
from model.checkpoint import CheckpointError
from model.losses.classification import UNKNOWN
from model.text import product_text
from model.training.categories import Categories, CategoryHead, categories_of
from model.training.config import ConfigError, LossConfig
from model.training.corpus import read
from model.training.labels import Labels
from model.training.objectives import objective
from producer.product import Product

KINDS = ["drill", "kettle", "printer", "router"]
"""Of the products that are learnt from; cameras and lamps are for validation."""
SPEC = TextSpec()
SHOE = Product(id="p", title="runner x7", category="Shoes > Running", attributes={"colour": "red", "size": 9})


def dice(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("field", "names", "told", "text"),
    [
        ("category", ["Hats", "Shoes > Running"], 1, "runner x7 | colour red, size 9"),
        ("attributes.colour", ["blue", "green", "red"], 2, "runner x7 | Shoes > Running | size 9"),
        ("attributes.size", ["9"], 0, "runner x7 | Shoes > Running | colour red"),
    ],
)
def test_what_is_told_is_not_in_the_text(field: str, names: list[str], told: int, text: str) -> None:
    product, number = Categories(names, field, 1.0, SPEC).seen(SHOE, dice())
    assert number == told
    assert product_text(product, SPEC) == text


def test_a_text_that_names_its_category_is_not_classified() -> None:
    categories, random = Categories(["Shoes > Running"], "category", 0.3, SPEC), dice()
    seen = [categories.seen(SHOE, random) for _ in range(1000)]
    assert {(product.category, number) for product, number in seen} == {(None, 0), ("Shoes > Running", UNKNOWN)}
    assert 250 < sum(number == 0 for _, number in seen) < 350


def test_a_category_that_the_text_leaves_out_anyway_is_always_told() -> None:
    categories = Categories(["Shoes > Running"], "category", 0.01, TextSpec(("title",)))
    assert categories.seen(SHOE, dice()) == (SHOE, 0)


@pytest.mark.parametrize(
    "product",
    [
        Product(id="p", title="runner x7"),
        Product(id="p", title="runner x7", category="Gloves"),
        Product(id="p", category="Shoes > Running"),
    ],
    ids=["no category", "one that training has not", "nothing else to read"],
)
def test_a_product_that_cannot_be_classified_stays_as_it_is(product: Product) -> None:
    categories = Categories(["Shoes > Running"], "category", 1.0, SPEC)
    assert categories.seen(product, dice()) == (product, UNKNOWN)


def test_categories_are_those_of_the_products_learnt_from(telling: Any, stocked: Path) -> None:
    config = telling()
    products = [item.product for item in read(config, stocked).items()]
    assert categories_of(config, products).names == KINDS
    assert categories_of(telling(loss__category_weight=0), products).names == ()
    with pytest.raises(ConfigError, match=r"category_weight=0.5, but category of the products has 1 values: set it to"):
        categories_of(config, [product for product in products if product.category == "drill"])
    with pytest.raises(ConfigError, match=r"but attributes\.colour of the products has 0 values"):
        categories_of(telling(loss__category_field="attributes.colour"), products)


def test_a_field_that_is_none_is_refused(telling: Any) -> None:
    with pytest.raises(ConfigError, match=r"loss.category_field='title': Expected `str` matching regex"):
        telling(loss__category_field="title")


def test_steps_say_which_rows_are_to_be_told(telling: Any, steps_of: Any) -> None:
    """A text is shorter where the category is hidden, and just there the category is to be told."""
    config = telling(loss__category_hidden=0.5, view_strength=0.0)
    made, plain = (
        next(steps_of(each).from_step(3)) for each in (config, telling(loss__category_weight=0, view_strength=0.0))
    )
    told = made.labels.categories != UNKNOWN
    assert 0 < told.sum() < len(told)
    assert (plain.labels.categories == UNKNOWN).all()
    assert torch.equal(made.labels.groups, plain.labels.groups)
    longer = plain.inputs["attention_mask"].sum(dim=1) - made.inputs["attention_mask"].sum(dim=1)
    assert torch.equal(longer > 0, told)
    again = next(steps_of(config).from_step(3))
    assert torch.equal(again.labels.categories, made.labels.categories)


def test_without_it_steps_are_drawn_as_with_it(telling: Any, steps_of: Any) -> None:
    config = telling(loss__category_hidden=1e-9, view_strength=0.6)
    pairs = zip(
        steps_of(config).from_step(0),
        steps_of(telling(loss__category_weight=0, view_strength=0.6)).from_step(0),
        range(4),
        strict=False,
    )
    for made, plain, _ in pairs:
        assert torch.equal(made.inputs["input_ids"], plain.inputs["input_ids"])


@pytest.mark.parametrize("name", ["infonce", "moco", "byol"])
def test_a_batch_without_any_category_is_that_of_the_first_task(name: str) -> None:
    network, config = torch.nn.Linear(6, 6), LossConfig(name=name, queue=8, category_weight=0.5)  # type: ignore[arg-type]
    torch.manual_seed(1)
    first = objective(config, network, 6)
    torch.manual_seed(1)
    both = objective(config, network, 6, KINDS)
    vectors, slow = torch.randn(8, 6, requires_grad=True), torch.randn(8, 6) if first.slow else None
    labels = Labels(torch.arange(4).repeat(2), torch.full((8,), UNKNOWN), 4)
    value = both(vectors, slow, labels)
    value.backward()
    torch.testing.assert_close(value, first(vectors, slow, labels))
    assert torch.isfinite(vectors.grad).all()  # type: ignore[arg-type]
    assert dict(both.extra.named_parameters())["head.centres"].grad.abs().sum() == 0  # type: ignore[union-attr]
    told = Labels(labels.groups, labels.categories.index_fill(0, torch.tensor([2]), 0), 4)
    assert both(vectors, slow, told) > value


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (KINDS[:3], "has 4 categories, the data have 3 \\('router' differs\\): give back the data"),
        (["anvil", *KINDS[1:]], "has 4 categories, the data have 4 \\('anvil' differs\\)"),
    ],
)
def test_a_checkpoint_of_other_categories_is_refused(names: list[str], message: str) -> None:
    stored = CategoryHead(KINDS, 4).state_dict()
    head = CategoryHead(KINDS, 4)
    head.load_state_dict(stored)
    assert torch.equal(head.centres, stored["centres"])
    with pytest.raises(CheckpointError, match=message):
        CategoryHead(names, 4).load_state_dict(stored)
