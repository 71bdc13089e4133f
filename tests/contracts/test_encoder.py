"""The contract of consumer.ports.Encoder, run on every implementation."""

from __future__ import annotations

import numpy as np
import pytest

from consumer.bundled import BundledEncoder
from consumer.errors import EncoderFailed
from consumer.given import GivenVectors
from consumer.ports import Encoder
from producer.events import Product

PRODUCTS = [
    Product(id="a", title="Red running shoe", brand="Acme", attributes={"size": 42, "colour": "red"}),
    Product(id="b", title="Garden hose 20 m", description="Does not kink. " * 30),
    Product(id="c", title="跑步鞋"),
    Product(id="d", title="x"),
]
NO_MODEL = pytest.mark.xfail(
    strict=True, raises=EncoderFailed, reason="without a model there is nothing to encode with"
)


@pytest.fixture(params=[pytest.param("given", marks=NO_MODEL), "bundle"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return made(request)


@pytest.fixture(params=["given", "bundle"])
def any_encoder(request: pytest.FixtureRequest) -> Encoder:
    return made(request)


def made(request: pytest.FixtureRequest) -> Encoder:
    if request.param == "given":
        return GivenVectors(8)
    return BundledEncoder.load(request.getfixturevalue("bundle"), "cpu", None)


def test_it_says_what_it_is(any_encoder: Encoder) -> None:
    assert any_encoder.dim > 0
    assert any_encoder.name
    assert any_encoder.provider


def test_a_product_with_nothing_to_encode_is_refused_with_a_reason(any_encoder: Encoder) -> None:
    reason = any_encoder.refusal(Product(id="empty", image="https://example.org/a.jpg"))
    assert reason is not None
    assert "empty" in reason
    assert "\n" not in reason


def test_nothing_waits_to_be_encoded_again(any_encoder: Encoder) -> None:
    assert list(any_encoder.revisit(1e9)) == []


def test_vectors_are_float32_rows_of_length_one(encoder: Encoder) -> None:
    vectors = encoder.encode(PRODUCTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(PRODUCTS), encoder.dim)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(PRODUCTS)), abs=1e-5)


def test_a_vector_does_not_depend_on_its_batch(encoder: Encoder) -> None:
    together = encoder.encode(PRODUCTS)
    alone = np.concatenate([encoder.encode([product]) for product in PRODUCTS])
    backwards = encoder.encode(PRODUCTS[::-1])[::-1]
    assert np.abs(together - alone).max() < 1e-5
    assert np.abs(together - backwards).max() < 1e-5


def test_what_can_be_encoded_is_not_refused(encoder: Encoder) -> None:
    encoder.encode(PRODUCTS)
    assert [encoder.refusal(product) for product in PRODUCTS] == [None] * len(PRODUCTS)


def test_facts_do_not_move_a_product(encoder: Encoder) -> None:
    dear = Product(id="a", title="Red shoe", price=99.0, currency="EUR", available=False, version=7)
    assert np.abs(encoder.encode([dear]) - encoder.encode([Product(id="a", title="Red shoe")])).max() < 1e-6


def test_texts_and_questions_are_encoded_alike(encoder: Encoder) -> None:
    text = encoder.encode_texts(["Red shoe"])
    assert np.abs(encoder.encode_query("Red shoe", None) - text).max() < 1e-6
    assert np.abs(encoder.encode([Product(id="a", title="Red shoe")]) - text).max() < 1e-6


def test_a_question_that_it_cannot_read_is_an_error_of_the_port(any_encoder: Encoder) -> None:
    with pytest.raises(EncoderFailed):
        any_encoder.encode_query(None, b"not an image, and this model reads none")
