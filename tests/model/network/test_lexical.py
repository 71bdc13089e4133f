from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from torch import Tensor

from model.lexical import FIRST_SIGNS, MULTIPLIER, PRIME, SECOND_SIGNS, LexicalBranch, LexicalConfig

DIM = 16
TEXTS = [[2, 5, 6, 5, 6, 24, 3], [2, 5, 6, 3], [2, 9, 3], [2, 3]]


def branch(
    tokenizer: Tokenizer, buckets: int = 101, longest: int = 3, dim: int = DIM, falloff: float = 0
) -> LexicalBranch:
    config = LexicalConfig(buckets=buckets, longest=longest, scale=0.5, falloff=falloff)
    made = LexicalBranch(config, vocabulary=40, dim=dim)
    made.read_vocabulary(tokenizer)
    return made


def padded(texts: list[list[int]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, texts))
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    return ids, torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts])


def naive(made: LexicalBranch, text: list[int]) -> Tensor:
    """The same by loops over words and n-grams."""
    words = [id for id in text if id > 3]
    heard: dict[tuple[int, ...], float] = defaultdict(float)
    for n, i in product(range(1, 4), range(len(words))):
        if len(gram := tuple(words[i : i + n])) == n:
            place = 1 + i  # after the special token at the start
            heard[gram] += 1 / (1 + place / made.falloff) if made.falloff else 1
    total = torch.zeros(DIM)
    for gram, weight in heard.items():
        value = 0
        for id in gram:
            value = (value * MULTIPLIER + id + 1) % PRIME
        bucket = value % made.buckets
        gain = made.log_gains[len(gram) - 1, int(any(made.has_digit[list(gram)]))].exp()
        total += (
            made.rows(torch.tensor(value))
            * made.weights.weight[bucket]
            * gain
            * (1 + math.log(weight) if weight > 1 else weight)
        )
    unit: Tensor = total / total.norm() * made.scale
    return unit


@pytest.mark.parametrize("falloff", [0, 1.5, 40])
def test_it_is_the_weighted_sum_over_the_n_grams(tokenizer: Tokenizer, falloff: float) -> None:
    made = branch(tokenizer, falloff=falloff)
    torch.nn.init.uniform_(made.weights.weight, 0.5, 2)
    torch.nn.init.uniform_(made.log_gains, -1, 1)
    for text, vector in zip(TEXTS[:3], made(*padded(TEXTS)), strict=False):
        assert torch.allclose(vector, naive(made, text), atol=1e-6)


@pytest.mark.parametrize("falloff", [0, 5])
def test_a_text_without_words_is_zero_and_trains_nothing(tokenizer: Tokenizer, falloff: float) -> None:
    made = branch(tokenizer, falloff=falloff)
    vectors = made(*padded(TEXTS))
    assert vectors[3].tolist() == [0] * DIM
    vectors.square().sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in made.parameters())


@pytest.mark.parametrize("falloff", [0, 5])
def test_padding_and_company_change_nothing(tokenizer: Tokenizer, falloff: float) -> None:
    made = branch(tokenizer, falloff=falloff)
    together = made(*padded(TEXTS))
    for text, vector in zip(TEXTS, together, strict=True):
        assert torch.allclose(made(*padded([text]))[0], vector, atol=1e-6)
    ids, mask = padded(TEXTS)
    assert torch.allclose(made(torch.where(mask == 1, ids, 11), mask), together, atol=1e-6)


def test_order_counts_only_in_longer_n_grams(tokenizer: Tokenizer) -> None:
    turned = padded([[2, 5, 6, 7, 3], [2, 7, 6, 5, 3]])
    one, two = branch(tokenizer, longest=1)(*turned)
    assert torch.allclose(one, two, atol=1e-6)
    one, two = branch(tokenizer, longest=2)(*turned)
    assert not torch.allclose(one, two, atol=1e-2)


def test_it_starts_as_a_random_projection_of_tf_idf(tokenizer: Tokenizer) -> None:
    """Cosines of 4,096 dimensions against those of the sparse vectors, with the idf of the texts themselves."""
    random = np.random.default_rng(0)
    texts = [[2, *random.integers(4, 28, 8).tolist(), 3] for _ in range(30)]
    made = branch(tokenizer, buckets=50_021, longest=2, dim=4096)
    made.fit_idf(texts)
    grams = [Counter((*t[i : i + n],) for n in (1, 2) for i in range(1, len(t) - n)) for t in texts]
    df = Counter(gram for one in grams for gram in one)
    names = {gram: i for i, gram in enumerate(df)}
    sparse = np.zeros((len(texts), len(names)))
    for row, one in enumerate(grams):
        for gram, count in one.items():
            sparse[row, names[gram]] = (1 + math.log(count)) * (math.log(31 / (1 + df[gram])) + 1)
    sparse /= np.linalg.norm(sparse, axis=1, keepdims=True)
    with torch.no_grad():
        vectors = made(*padded(texts)).numpy() / 0.5
    assert np.abs(vectors @ vectors.T - sparse @ sparse.T).max() < 6 / 4096**0.5


def test_idf_counts_texts_not_occurrences(tokenizer: Tokenizer) -> None:
    made = branch(tokenizer, buckets=50_021, longest=1)
    made.fit_idf([[2, 5, 5, 5, 3], [5, 6], []])
    weight = made.weights.weight[:, 0]
    assert weight[6].item() == pytest.approx(math.log(4 / 3) + 1), "word 5 has hash 6 and is in two of three texts"
    assert weight[7].item() == pytest.approx(math.log(4 / 2) + 1)
    assert weight[8].item() == pytest.approx(math.log(4) + 1)


def test_digits_and_special_tokens_are_read_from_the_tokenizer(tokenizer: Tokenizer) -> None:
    made = branch(tokenizer)
    words = tokenizer.get_vocab()
    assert made.has_digit.nonzero().flatten().tolist() == sorted([words["16"], words["x9"]])
    assert (made.symbols == 0).nonzero().flatten().tolist() == [0, 1, 2, 3]


PIECES = ("[PAD]", "[CLS]", "[SEP]", "dsc", "##w", "w", "12", "##12", "##0", "-", "/", "é", "w12", "dscw")
SPECIAL = 3


def spelling(longest: int = 2, dim: int = 512, falloff: float = 0) -> LexicalBranch:
    """Special tokens, words, pieces of words, and signs."""
    tokenizer = Tokenizer(models.WordLevel({word: id for id, word in enumerate(PIECES)}))
    tokenizer.add_special_tokens(list(PIECES[:SPECIAL]))
    config = LexicalConfig(50_021, longest, spelling=True, falloff=falloff)
    made = LexicalBranch(config, vocabulary=len(PIECES), dim=dim)
    made.read_vocabulary(tokenizer)
    return made


def ids(*pieces: str) -> list[int]:
    return [1, *map(PIECES.index, pieces), 2]


def spelt(text: list[int], longest: int) -> list[Counter[str]]:
    """The n-grams of each length by loops: what the words among the tokens spell."""
    words = [found for id in text[1:-1] if (found := "".join(filter(str.isalnum, PIECES[id])))]
    return [Counter("".join(words[i : i + n]) for i in range(len(words) - n + 1)) for n in range(1, longest + 1)]


@given(st.lists(st.lists(st.integers(SPECIAL, len(PIECES) - 1), max_size=9), min_size=1, max_size=4), st.integers(1, 4))
def test_n_grams_by_spelling_are_strings(texts: list[list[int]], longest: int) -> None:
    """The hashes that are counted are those of the strings, whatever the padding and the signs between."""
    made = spelling(longest)
    given_ids, mask = padded([[1, *text, 2] for text in texts])
    tokens, _ = made._tokens(given_ids, mask)
    for order, (hashes, valid, _) in enumerate(made._ngrams(*tokens)):
        for text, row, counts in zip(texts, hashes, valid.bool(), strict=True):
            wanted = spelt([1, *text, 2], longest)[order]
            assert Counter(row[counts].tolist()) == Counter({polynomial(gram): n for gram, n in wanted.items()})


def polynomial(text: str) -> int:
    value = 0
    for character in text:
        value = (value * MULTIPLIER + ord(character)) % PRIME
    return value


def test_cuts_and_signs_do_not_count_where_the_spelling_does() -> None:
    made = spelling()
    one, same, other = made(
        *padded([ids("dsc", "-", "w", "12"), ids("dsc", "##w", "/", "##12"), ids("dsc", "12", "w")])
    )
    assert torch.allclose(one, same, atol=1e-6)
    assert not torch.allclose(one, other, atol=1e-2)
    whole, cut = made(*padded([ids("w12"), ids("w", "##12")]))
    assert whole @ cut > 0.5, "w12 is also a pair of tokens"


def test_a_text_of_signs_has_no_n_grams_by_spelling() -> None:
    assert spelling()(*padded([ids("-", "/"), ids("dsc")]))[0].abs().max() == 0


def test_digits_are_those_of_the_n_gram_after_signs_are_passed_over() -> None:
    made = spelling()
    tokens, _ = made._tokens(*padded([ids("-", "dsc", "-", "12", "w")]))
    found = [(digit * valid)[0, :4].tolist() for _, valid, digit in made._ngrams(*tokens)]
    assert found == [[0, 1, 0, 0], [1, 1, 0, 0]]


def test_the_weight_of_a_place_is_that_of_the_token_signs_and_all() -> None:
    (symbols, _, _), places = spelling(falloff=4)._tokens(*padded([ids("-", "dsc", "-", "12", "w")]))
    assert places is not None
    assert places[symbols > 0].tolist() == pytest.approx([1 / (1 + at / 4) for at in (2, 4, 5)])


def test_a_word_at_the_start_says_more_than_one_at_the_end(tokenizer: Tokenizer) -> None:
    turned = padded([[2, 5, 6, 7, 8, 3], [2, 5, 9, 10, 11, 3], [2, 12, 13, 14, 8, 3]])
    one, first, last = torch.nn.functional.normalize(branch(tokenizer, longest=1, dim=4096, falloff=2)(*turned))
    assert one @ first > one @ last + 0.1


def test_a_tokenizer_with_more_words_is_refused(tokenizer: Tokenizer) -> None:
    small = LexicalBranch(LexicalConfig(buckets=11), vocabulary=20, dim=4)
    with pytest.raises(ValueError, match="the tokenizer has 28 tokens, the network 20"):
        small.read_vocabulary(tokenizer)


def test_weights_gains_and_scale_train_and_the_signs_do_not() -> None:
    made = LexicalBranch(LexicalConfig(buckets=11), vocabulary=20, dim=4)
    assert {name for name, _ in made.named_parameters()} == {"weights.weight", "log_gains", "scale"}


def test_rows_are_unit_signs_that_have_nothing_to_do_with_each_other() -> None:
    """Also those that share one of the two rows of signs, and those of a rectangle of such pairs."""
    made = LexicalBranch(LexicalConfig(buckets=11), vocabulary=20, dim=4096)
    hashes = torch.tensor([5, 5 + FIRST_SIGNS, 5 + SECOND_SIGNS, 5 + FIRST_SIGNS + SECOND_SIGNS, 2**31 - 2])
    rows = made.rows(hashes)
    assert rows.abs().unique().tolist() == [4096**-0.5]
    cosines = rows @ rows.T - torch.eye(5)
    assert cosines.abs().max() < 5 / 4096**0.5


def test_digits_weigh_more_from_the_start_where_that_is_asked_for(tokenizer: Tokenizer) -> None:
    made = LexicalBranch(LexicalConfig(buckets=101, longest=2, digits=2.0), vocabulary=40, dim=DIM)
    assert made.log_gains.exp().tolist() == [pytest.approx([1, 2])] * 2
