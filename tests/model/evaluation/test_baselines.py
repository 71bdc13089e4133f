"""TF-IDF and BM25 on texts small enough to score by hand, and bundles of any kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.data.dataset import Dataset
from model.evaluation import bundles
from model.evaluation.baselines import EVERYTHING, TITLE, Bm25Ranker, TfidfRanker, bigrams, lexical_baselines, words
from model.evaluation.bundles import BundleRanker, bundle_system
from model.evaluation.ranking import VectorSpace, view
from producer.events import Product

RED = Product(id="r", title="Red Shoe 42", category="Shoes", image="red.jpg")
GREEN = Product(id="g", title="Green hose")
CATALOGUE = [RED, GREEN, Product(id="b", title="blue shoe 42")]
ALL = slice(0, 10)

MakeBundle = Callable[..., Path]


def test_bm25_is_the_formula_of_robertson_and_zaragoza() -> None:
    """Idf as Lucene has it; "42 42" asks once, since each distinct token counts once."""
    asked = Product(id="q", title="42 hose 42")
    scores = Bm25Ranker(TITLE, words).over([asked, *CATALOGUE]).scorer(["q"], ["r", "g", "b"])(ALL)[0]

    def weight(occurs_in: int, length: int) -> float:
        idf = math.log(1 + (3 - occurs_in + 0.5) / (occurs_in + 0.5))
        return idf / (1 + 1.2 * (1 - 0.75 + 0.75 * length / (8 / 3)))

    assert scores == pytest.approx([weight(2, 3), weight(1, 2), weight(2, 3)], rel=1e-5)


def test_bm25_of_a_query_that_nobody_mentions_is_zero() -> None:
    space = Bm25Ranker(TITLE, words).over([*CATALOGUE, Product(id="q", title="???"), Product(id="e", image="x")])

    assert not space.scorer(["q", "e"], ["r", "g"])(ALL).any()


def test_tfidf_learns_its_weights_from_all_products_and_not_from_the_query_alone() -> None:
    few = TfidfRanker(TITLE, "char_wb", (3, 5)).over(CATALOGUE)
    many = TfidfRanker(TITLE, "char_wb", (3, 5)).over(
        [*CATALOGUE, *(Product(id=f"{n}", title="shoe") for n in range(9))]
    )

    assert few.scorer(["r"], ["r"])(ALL)[0, 0] == pytest.approx(1)
    assert few.scorer(["r"], ["b"])(ALL)[0, 0] > 1.2 * many.scorer(["r"], ["b"])(ALL)[0, 0]


def test_tfidf_counts_a_repeated_piece_by_the_logarithm() -> None:
    """One character each, no idf difference: weights are 1 and 1 + ln 3, cosine by hand."""
    products = [Product(id="once", title="ab"), Product(id="thrice", title="abbb")]
    weight = 1 + math.log(3)

    score = TfidfRanker(TITLE, "char", (1, 1)).over(products).scorer(["once"], ["thrice"])(ALL)[0, 0]

    assert score == pytest.approx((1 + weight) / math.sqrt(2 * (1 + weight**2)))


def test_rows_of_a_scorer_are_those_of_the_queries() -> None:
    for system in lexical_baselines("en"):
        scorer = system.ranker.over(CATALOGUE).scorer(["g", "r"], ["r", "g", "b"])
        assert scorer(slice(1, 2)).tolist() == scorer(ALL)[1:].tolist()
        assert scorer(ALL).argmax(axis=1).tolist() == [1, 0]


def test_texts_without_any_word_are_refused_by_tfidf() -> None:
    with pytest.raises(ValueError, match="2 products have no text in title"):
        TfidfRanker(TITLE, "char", (1, 3)).over([Product(id="a", image="a"), Product(id="b", image="b")])


def test_chinese_is_cut_into_pairs_of_characters() -> None:
    assert bigrams("红色 跑鞋") == ["红色", "色跑", "跑鞋"]
    products = [
        Product(id=id, title=title) for id, title in (("a", "红色跑鞋女"), ("b", "蓝色雨伞"), ("c", "女士红色跑鞋"))
    ]
    for system in lexical_baselines("zh"):
        scores = system.ranker.over(products).scorer(["a"], ["b", "c"])(ALL)[0]
        assert scores[1] > 2 * scores[0]


def test_text_alone_has_no_image_and_image_alone_no_text() -> None:
    assert view(RED, "text").image is None
    assert view(RED, "text").title == "Red Shoe 42"
    assert view(RED, "image") == Product(id="r", image="red.jpg")
    assert view(RED, "both") == RED


def test_a_bundle_ranks_by_cosine(make_bundle: MakeBundle) -> None:
    system = bundle_system(make_bundle(), "mine", baseline=True)
    products = [Product(id=id, title=title) for id, title in (("a", "red shoe"), ("b", "shoe red"), ("c", "w1 w2"))]

    space = system.ranker.over(products)

    assert isinstance(space, VectorSpace)
    assert system.ranker.modalities == {"text"}
    scores = space.scorer(["a"], ["b", "c"])(ALL)[0]
    assert scores[0] == pytest.approx(1, abs=1e-5)
    assert scores[0] > scores[1]
    assert (system.name, system.baseline) == ("mine", True)


def test_lexical_baselines_have_no_vectors() -> None:
    assert not any(isinstance(system.ranker.over(CATALOGUE), VectorSpace) for system in lexical_baselines("en"))
    assert EVERYTHING.fields[0] == "title"


def test_each_product_is_encoded_with_its_own_image(pictures: Dataset, counting_encoder: Callable[..., Any]) -> None:
    encoder = counting_encoder(wants_images=True)
    ranker = BundleRanker(encoder, lambda path: b"\0" if path == "red.jpg" else b"\1")
    products = [view(product, "image") for product in pictures.products.values()]

    space = ranker.over(products)
    vectors = space.vectors(["q0", "q1", "q2", "q5"])

    assert vectors[0] @ vectors[1] == pytest.approx(1)
    assert vectors[0] @ vectors[2] == pytest.approx(0)
    assert not vectors[3].any(), "it has neither image nor text"
    assert encoder.encoded == ["q0", "q1", "q2", "q3", "q4"]


def test_an_encoder_that_reads_no_images_is_given_none(counting_encoder: Callable[..., Any]) -> None:
    space = BundleRanker(counting_encoder(), lambda path: b"\0").over([RED, Product(id="x", image="x.jpg")])

    assert np.linalg.norm(space.vectors(["r", "x"]), axis=1).tolist() == pytest.approx([1, 0])


def test_it_says_how_many_products_are_encoded(
    counting_encoder: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    products = [Product(id=f"p{row}", title=f"lamp {row}") for row in range(5)] + [Product(id="empty")]
    whole = BundleRanker(counting_encoder()).over(products)
    monkeypatch.setattr(bundles, "BLOCK", 2)
    said: list[tuple[int, int]] = []
    encoder = counting_encoder()

    parts = BundleRanker(encoder, shown=lambda done, total: said.append((done, total))).over(products)

    assert said == [(0, 5), (2, 5), (4, 5), (5, 5)]
    assert encoder.encoded == [f"p{row}" for row in range(5)]
    ids = [product.id for product in products]
    assert (parts.vectors(ids) == whole.vectors(ids)).all()


def test_nothing_at_all_to_encode_is_refused(counting_encoder: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="1 products have nothing that the encoder reads"):
        BundleRanker(counting_encoder()).over([Product(id="x", image="x.jpg")])
