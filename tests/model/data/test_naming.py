"""Words of values: every form of them goes out of a text, and nothing else."""

from __future__ import annotations

import pytest

from model.data.naming import Words, forms_of

NAMED = Words.of(["Topwear", "Tshirts", "Flip Flops", "Dresses", "Navy Blue", "Red", "Gold", "Accessories"])


@pytest.mark.parametrize(
    ("title", "left"),
    [
        ("Nike Men's Blue T-shirts", "Nike Men's"),
        ("Nike T Shirt with tshirt print", "Nike with print"),
        ("Puma FLIP-FLOP Flipflops, gold-toned", "Puma toned"),
        ("Dress's Boss Business", "Boss Business"),
        ("Accessory for a dress\u2019s hem", "for a hem"),
        ("U.S. Polo navy & co.", "U.S. Polo co."),
        ("Redwood Shirtless", "Redwood Shirtless"),
        ("Red/Blue Dress", None),
        ("", None),
    ],
)
def test_words_go_out_in_every_form_and_nothing_else(title: str, left: str | None) -> None:
    assert NAMED.out_of(title) == left
    assert bool(NAMED.found_in(title)) == (left != title and bool(title))


@pytest.mark.parametrize(
    ("word", "forms"),
    [("Shoes", {"shoes", "shoe", "sho"}), ("dress", {"dress"}), ("ties", {"ties", "tie"}), ("Red", {"red"})],
)
def test_a_plural_has_its_singular(word: str, forms: set[str]) -> None:
    assert set(forms_of(word)) == forms
