"""Variants: what the text still says, what is missing from whom, and that every system is asked the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from model.data.dataset import Dataset
from model.evaluation.evaluate import Settings, benchmarks, evaluate, with_baselines
from model.evaluation.rendering import grids, markdown
from model.evaluation.report import read_report, write_report
from model.evaluation.variants import HALF_IMAGE, HALF_TEXT, PLAIN, TITLES, VARIANTS, half, variant
from producer.events import Product

MakeEncoder = Callable[..., Any]
CATEGORIES = ("Apparel > Topwear > Tshirts", "Footwear > Flip Flops > Flip Flops", "Accessories > Dresses")
COLOURS = ("Blue", "Navy Blue", "Red", "Gold")


def shirt(number: int) -> Product:
    colour, category = COLOURS[number % 4], CATEGORIES[number % 3]
    return Product(
        id=f"p{number}",
        title=f"Acme {colour} T-shirt {number}",
        brand=f"{colour} & Co",
        description=f"a {colour} thing",
        category=category,
        attributes={"colour": colour, "usage": f"{colour} days"},
        image=f"{'red' if colour == 'Red' else 'blue'}.jpg",
        price=3.0,
    )


@pytest.fixture
def shirts(tmp_path: Path) -> Dataset:
    for name, first_byte in (("red", b"\0"), ("blue", b"\1")):
        (tmp_path / f"{name}.jpg").write_bytes(first_byte)
    return Dataset("shirts", {f"p{at}": shirt(at) for at in range(40)}, images=tmp_path)


def test_a_plain_title_is_all_that_is_said_and_the_words_are_those_of_the_whole_set(shirts: Dataset) -> None:
    told = variant(shirts, PLAIN, ["p1"])

    assert told.products == {"p1": Product(id="p1", title="Acme 1", image="blue.jpg", price=3.0)}
    (titled,) = variant(shirts, TITLES, ["p1"]).products.values()
    assert titled == Product(id="p1", title="Acme Navy Blue T-shirt 1", image="blue.jpg", price=3.0)


def test_exactly_half_of_those_asked_lack_text_or_image_and_not_the_same_half(shirts: Dataset) -> None:
    asked = [f"p{at}" for at in range(30)]
    mute, blind = (variant(shirts, name, asked).products for name in (HALF_TEXT, HALF_IMAGE))

    without_text = {id for id, product in mute.items() if product.title is None}
    without_image = {id for id, product in blind.items() if product.image is None}
    assert len(without_text) == len(without_image) == 15
    assert 2 < len(without_text & without_image) < 13
    assert all(product.image for product in mute.values())
    assert all(product.title for product in blind.values())


def test_halves_follow_from_ids_and_seed_alone() -> None:
    ids = [f"p{at}" for at in range(101)]

    assert half(ids, "1") == half(ids[::-1], "1")
    assert len(half(ids, "1")) == 50
    assert set(half(ids, "1")) != set(half(ids, "2"))


def test_an_unknown_variant_is_refused(shirts: Dataset) -> None:
    with pytest.raises(ValueError, match="variant='upside down' is not known: choose one of titles, plain titles"):
        variant(shirts, "upside down", ["p1"])


def test_every_system_answers_every_variant_and_the_answers_are_the_original_ones(
    shirts: Dataset, counting_encoder: MakeEncoder, tmp_path: Path
) -> None:
    marks = benchmarks(shirts, [f"p{at}" for at in range(24)])
    assert [mark.variant for mark in marks] == ["", *VARIANTS]
    assert {id(mark.tasks) for mark in marks} == {id(marks[0].tasks)}
    assert all(set(mark.dataset.products) == set(marks[0].tasks[0].candidates) for mark in marks)

    systems = with_baselines({"counts": counting_encoder(wants_images=True)})
    report = evaluate(systems, marks, Settings(resamples=20))

    by_variant = {name: [row for row in report.searches if row.scope.variant == name] for name in ("", *VARIANTS)}
    assert {len(rows) for rows in by_variant.values()} == {5}
    assert {(row.queries, row.matches) for row in report.searches} == {(24, 24)}
    recalls = {
        (name, row.scope.system, row.scope.modality): row.curve[9] for name in VARIANTS for row in by_variant[name]
    }
    assert recalls[TITLES, "TF-IDF", "text"] > recalls[PLAIN, "TF-IDF", "text"]
    assert recalls[PLAIN, "counts", "image"] == recalls[HALF_TEXT, "counts", "image"]
    assert recalls[PLAIN, "counts", "image"] > recalls[HALF_IMAGE, "counts", "image"]
    write_report(tmp_path / "report.json", report)
    assert read_report(tmp_path / "report.json") == report


def test_text_and_image_are_compared_with_either_alone(shirts: Dataset, counting_encoder: MakeEncoder) -> None:
    report = evaluate(
        with_baselines({"counts": counting_encoder(wants_images=True)}),
        benchmarks(shirts, [*shirts.products]),
        Settings(resamples=20),
    )

    rows = {(row.scope.variant, row.alone): row for row in report.fusions if row.figure == "recall@10"}
    assert set(rows) == {(name, alone) for name in ("", *VARIANTS) for alone in ("text", "image")}
    found = {
        row.scope.modality: row.figures["recall@10"].value
        for row in report.searches
        if (row.scope.variant, row.scope.system) == (PLAIN, "counts")
    }
    assert rows[PLAIN, "text"].difference.value == pytest.approx(found["both"] - found["text"])
    assert rows[PLAIN, "text"].difference.value != 0
    assert {row.scope.variant for row in report.differences} == {"", *VARIANTS}
    assert [row.datasets for row in report.languages] == [["shirts"]] * len(report.languages)
    text = markdown(grids(report))
    assert "**shirts, plain titles, half without text (en), same_attributes, split test: 40 queries" in text
    assert "| counts | shirts, plain titles | test | all | recall@10 | text alone |" in text


def test_sets_with_pairs_or_without_images_have_no_variants(shop: Dataset, shirts: Dataset) -> None:
    assert [mark.variant for mark in benchmarks(shop)] == [""]
    assert len(benchmarks(replace(shirts, images=None), [*shirts.products])) == 1


def test_a_variant_leaves_the_data_set_as_it_was(shirts: Dataset) -> None:
    before = msgspec.json.encode(list(shirts.products.values()))
    variant(shirts, HALF_TEXT, [*shirts.products])

    assert msgspec.json.encode(list(shirts.products.values())) == before
