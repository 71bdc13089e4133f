from __future__ import annotations

import copy
import math

import pytest
from msgspec.structs import replace
from tokenizers import Tokenizer

from model.bundle import TextSpec
from model.errors import ModelError
from model.export.catalogue import AT_ONCE, fit_to_catalogue
from model.network import ProductEncoder
from producer.events import Product

SPEC = TextSpec(fields=("title", "brand"), separator=" ")


def test_rare_is_what_few_texts_of_the_catalogue_have(text_network: ProductEncoder, tokenizer: Tokenizer) -> None:
    network = copy.deepcopy(text_network)
    lexical = network.lexical
    assert lexical is not None
    gains, scale = lexical.log_gains.clone(), lexical.scale.clone()
    products = [Product(id=f"p{row}", title="desk" if row % 4 else "w1 w1", brand="w2") for row in range(2 * AT_ONCE)]
    said: list[tuple[int, int]] = []
    fit_to_catalogue(network, tokenizer, SPEC, products, lambda done, total: said.append((done, total)))
    assert said == [(0, 2 * AT_ONCE), (AT_ONCE, 2 * AT_ONCE)]
    weights = {
        word: lexical.weights.weight[tokenizer.token_to_id(word) + 1].item() for word in ("desk", "w1", "w2", "w9")
    }
    texts = 2 * AT_ONCE
    expected = {"desk": texts * 3 // 4, "w1": texts // 4, "w2": texts, "w9": 0}
    assert weights == pytest.approx({word: math.log((1 + texts) / (1 + df)) + 1 for word, df in expected.items()})
    assert (lexical.log_gains == gains).all()
    assert lexical.scale == scale


def test_what_the_network_does_not_read_does_not_count(text_network: ProductEncoder, tokenizer: Tokenizer) -> None:
    network = copy.deepcopy(text_network)
    assert network.lexical is not None
    words = network.config.max_tokens - 2  # beside [CLS] and [SEP]
    told = tokenizer.to_str()
    for last, texts in (("w3", 1), ("w4", 0)):
        title = " ".join(["desk"] * (words - texts) + [last])
        fit_to_catalogue(network, tokenizer, SPEC, [Product(id="p", title=title)])
        weights = network.lexical.weights.weight[:, 0]
        assert weights[tokenizer.token_to_id("desk") + 1].item() == pytest.approx(1)
        assert weights[tokenizer.token_to_id(last) + 1].item() == pytest.approx(math.log(2 / (1 + texts)) + 1)
    assert tokenizer.to_str() == told, "the tokenizer of the bundle stays as it was"


def test_a_network_without_n_grams_has_nothing_to_fit(text_network: ProductEncoder, tokenizer: Tokenizer) -> None:
    network = ProductEncoder(replace(text_network.config, lexical=None))
    with pytest.raises(
        ModelError, match=r"no n-grams to fit to a catalogue: export it without one, or .*network\.lexical"
    ):
        fit_to_catalogue(network, tokenizer, SPEC, [Product(id="p", title="desk")])
