"""The lexical branch: hashed n-grams of tokens inside the graph, because codes, numbers and sizes decide matches.

A text becomes the sum over its n-grams of ``weight * row``, L2-normalised. With weights from ``fit_idf`` this is a random
projection of the text's TF-IDF vector (Achlioptas, "Database-friendly random projections", 2003): cosines are kept within
about 1 / sqrt(dim). A row is the product of two rows of random signs, one chosen by the hash modulo one prime and one modulo
another: any two different rows are independent, as if each were drawn by itself, and two small tables make a million of them.
Weights are hashed into buckets (Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009), and train
with everything else. N-grams are told apart by their tokens, or by the letters and digits that they spell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from model.ranges import Factor, Positive, Rate

PRIME = 2**31 - 1
"""Products of two numbers below it stay below 2^62: no hash overflows int64, and torch and ONNX Runtime agree on all."""
MULTIPLIER = 1_000_003
SMALLEST = 1e-6
"""A shorter sum is that of a text without n-grams and stays near zero. Half precision can hold this number."""
CHUNK = 256
FIRST_SIGNS, SECOND_SIGNS = 1021, 1019
"""Rows of the two tables of signs, primes: hashes that differ modulo their product, a million, have different rows."""


class LexicalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The branch.

    Attributes:
        buckets: weights; n-grams that fall into the same bucket share one.
        longest: n-grams of 1 to so many tokens.
        spelling: n-grams are the same if their letters and digits are, however they are cut into tokens; tokens without any,
            such as signs, are passed over.
        scale: length of the lexical vector beside the unit vector of the other branch, at the start.
        digits: gain of n-grams with a digit over the others, at the start.
        falloff: an n-gram so many tokens from the start of the text weighs half of one at the start, at ``p`` tokens
            ``1 / (1 + p / falloff)``: titles come first, descriptions last. 0 for the same weight wherever it is.
        dropout: share of the steps of training that do without the branch, so that the rest of the network learns what it
            could leave to this one.
        alone: share of the steps in which the branch is all there is, so that it learns what it could leave to the rest.

    Raises:
        ValueError: one of the two shares is negative, or they sum to more than 1.
    """

    buckets: Positive = 262144
    longest: Positive = 3
    spelling: bool = False
    scale: Rate = 1.0
    digits: Factor = 1.0
    falloff: Rate = 0.0
    dropout: float = 0.0
    alone: float = 0.0

    def __post_init__(self) -> None:
        """Check what two fields are together."""
        if min(self.dropout, self.alone) < 0 or self.dropout + self.alone > 1:
            raise ValueError(
                f"dropout={self.dropout} and alone={self.alone} are shares of the steps: choose two that are 0 or more and "
                "sum to 1 at most"
            )


class LexicalBranch(nn.Module):
    """Texts to vectors of their n-grams.

    Repeats count as ``1 + log(count)``, where a copy far from the start of the text may count as less than one. N-grams of
    each length, with and without a digit, have a learned gain of their own. Padding and special tokens take part in
    no n-gram.

    Shape:
        input_ids, attention_mask int64 [n, tokens] -> float32 [n, dim]: unit vectors, or zero where there is no n-gram,
        times the learned scale.
    """

    symbols: Tensor
    factors: Tensor
    has_digit: Tensor
    first_signs: Tensor
    second_signs: Tensor

    def __init__(self, config: LexicalConfig, vocabulary: int, dim: int) -> None:
        super().__init__()
        self.buckets, self.longest, self.spelling = config.buckets, config.longest, config.spelling
        self.falloff = config.falloff
        self.dim = dim
        self.register_buffer("first_signs", _signs(FIRST_SIGNS, dim))
        self.register_buffer("second_signs", _signs(SECOND_SIGNS, dim))
        self.weights = nn.Embedding(config.buckets, 1)
        nn.init.ones_(self.weights.weight)
        self.log_gains = nn.Parameter(torch.tensor([0.0, math.log(config.digits)]).repeat(config.longest, 1))
        self.scale = nn.Parameter(torch.tensor(config.scale))
        for name, unread in zip(("symbols", "factors", "has_digit"), _unread(vocabulary), strict=True):
            self.register_buffer(name, unread)

    def read_vocabulary(self, tokenizer: Tokenizer) -> None:
        """Learn which ids are special tokens, what the others spell, and which have a digit.

        Raises:
            ValueError: the tokenizer knows more tokens than the network.
        """
        if (known := tokenizer.get_vocab_size()) > len(self.symbols):
            raise ValueError(
                f"the tokenizer has {known} tokens, the network {len(self.symbols)}: take its own tokenizer"
            )
        for own, found in zip(self._learned(), self._marks(tokenizer), strict=True):
            own.copy_(found)

    def has_read(self, tokenizer: Tokenizer) -> bool:
        """Whether what was learned is true of this tokenizer."""
        marks = zip(self._learned(), self._marks(tokenizer), strict=True)
        return all(torch.equal(own.cpu(), found) for own, found in marks)

    def _learned(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.symbols, self.factors, self.has_digit

    def _marks(self, tokenizer: Tokenizer) -> tuple[Tensor, Tensor, Tensor]:
        """``symbols``, ``factors`` and ``has_digit`` of a tokenizer."""
        symbols, factors, has_digit = _unread(len(self.symbols))
        for word, id in tokenizer.get_vocab().items():
            has_digit[id] = float(any(character.isdigit() for character in word))
            if self.spelling:
                symbols[id], factors[id] = _spelt(word)
        for id, token in tokenizer.get_added_tokens_decoder().items():
            symbols[id] *= int(not token.special)
        return symbols, factors, has_digit

    @torch.no_grad()
    def fit_idf(self, texts: Iterable[Sequence[int]]) -> None:
        """Set the weights to ``log((1 + n) / (1 + df)) + 1``, the smooth inverse document frequency.

        Args:
            texts: token ids of each of n texts, special tokens allowed.
        """
        counts, number = torch.zeros(self.buckets, device=self.weights.weight.device), 0
        rest = iter(texts)
        while chunk := list(islice(rest, CHUNK)):
            number += len(chunk)
            for found in self._buckets_of(chunk):
                counts[found] += 1
        self.weights.weight.copy_((torch.log((1 + number) / (1 + counts)) + 1).unsqueeze(1))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Sum the rows of all n-grams."""
        return self.unit(input_ids, attention_mask) * self.scale

    def unit(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The same without the scale: float32 [n, dim], unit vectors, or zero where there is no n-gram."""
        tokens, places = self._tokens(input_ids, attention_mask)
        total = self.scale.new_zeros(())
        for order, (hashes, valid, digit) in enumerate(self._ngrams(*tokens)):
            gains = self.log_gains[order].exp()
            weight = self.weights(hashes % self.buckets).squeeze(-1) * torch.lerp(gains[0], gains[1], digit)
            weight = weight * _shares(hashes, valid, places)
            total = total + torch.matmul(weight.unsqueeze(1), self.rows(hashes)).squeeze(1)
        return functional.normalize(total, dim=1, eps=SMALLEST)

    def rows(self, hashes: Tensor) -> Tensor:
        """The rows [..., dim] of hashes int64 [...]: signs, times ``dim ** -0.5``."""
        first, second = self.first_signs[hashes % FIRST_SIGNS], self.second_signs[hashes % SECOND_SIGNS]
        rows: Tensor = first.to(self.scale.dtype) * second.to(self.scale.dtype) * self.dim**-0.5
        return rows

    def _tokens(self, input_ids: Tensor, mask: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor | None]:
        """Of each token [n, tokens] symbol and factor int64, and whether it has a digit 0 or 1; and the weight of its place.

        Symbol 0 stands for what is no word. With ``spelling`` the tokens that spell something come first. Without
        ``falloff`` there are no weights of places.
        """
        symbols = functional.embedding(input_ids, self.symbols.unsqueeze(1)).squeeze(-1) * mask
        factors = functional.embedding(input_ids, self.factors.unsqueeze(1)).squeeze(-1)
        digits = functional.embedding(input_ids, self.has_digit.unsqueeze(1)).squeeze(-1)
        places = None
        if self.falloff > 0:
            places = 1 / (1 + torch.arange(digits.shape[1], device=digits.device).to(digits.dtype) / self.falloff)
            places = places.expand_as(digits)
        if self.spelling:
            order = _words_first(symbols)
            symbols, factors, digits = (each.gather(1, order) for each in (symbols, factors, digits))
            places = None if places is None else places.gather(1, order)
        return (symbols, factors, digits), places

    def _ngrams(self, symbols: Tensor, factors: Tensor, digits: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """By length: hash int64, whether it is an n-gram 0 or 1, and whether it has a digit 0 or 1, all [n, tokens].

        Entry i is the n-gram that begins at token i. Its hash is that of its tokens, one after the other: ``hash * factor +
        symbol``.
        """
        hashes = torch.zeros_like(symbols)
        valid, digit = torch.ones_like(digits), torch.zeros_like(digits)
        for _ in range(self.longest):
            hashes = (hashes * factors + symbols) % PRIME
            valid = valid * symbols.clamp(max=1).to(valid.dtype)
            digit = torch.maximum(digit, digits)
            yield hashes, valid, digit
            symbols, factors, digits = _following(symbols), _following(factors), _following(digits)

    def _buckets_of(self, texts: Sequence[Sequence[int]]) -> Iterator[Tensor]:
        """The distinct buckets of each text."""
        device = self.has_digit.device
        ids = nn.utils.rnn.pad_sequence([torch.tensor(text, dtype=torch.int64) for text in texts], batch_first=True)
        lengths = torch.tensor([len(text) for text in texts]).unsqueeze(1)
        mask = (torch.arange(ids.shape[1]) < lengths).long()
        tokens, _ = self._tokens(ids.to(device), mask.to(device))
        parts = list(self._ngrams(*tokens))
        hashes, valid = torch.cat([part[0] for part in parts], 1), torch.cat([part[1] for part in parts], 1)
        for one, present in zip(hashes % self.buckets, valid.bool(), strict=True):
            yield one[present].unique()


def _unread(vocabulary: int) -> tuple[Tensor, Tensor, Tensor]:
    """``symbols``, ``factors`` and ``has_digit`` where nothing is known of the tokens but their ids."""
    return torch.arange(1, vocabulary + 1), torch.full((vocabulary,), MULTIPLIER), torch.zeros(vocabulary)


def _spelt(word: str) -> tuple[int, int]:
    """Symbol and factor of a token: the hash of its letters and digits, 0 if it has none, and the factor of so many of them.

    The hash is a polynomial in the characters (Karp and Rabin, "Efficient randomized pattern-matching algorithms", 1987), so
    that of a string is the same wherever it is cut.
    """
    symbol, factor = 0, 1
    for character in filter(str.isalnum, word):
        symbol, factor = (symbol * MULTIPLIER + ord(character)) % PRIME, factor * MULTIPLIER % PRIME
    return symbol, factor


def _words_first(symbols: Tensor) -> Tensor:
    """The order int64 [n, tokens] in which those that have a symbol come first, else as they are."""
    tokens = symbols.shape[1]
    places = torch.arange(tokens, device=symbols.device)
    return (places + tokens * (1 - symbols.clamp(max=1))).argsort(dim=1)


def _shares(hashes: Tensor, valid: Tensor, places: Tensor | None) -> Tensor:
    """Of each n-gram an equal share of what its copies weigh together: the sum of their places, ``1 + log sum`` above 1.

    Without places each copy weighs 1. Zero where invalid.
    """
    same = (hashes.unsqueeze(2) == hashes.unsqueeze(1)).to(valid.dtype)
    summed = [valid] if places is None else [valid, valid * places]
    sums = torch.matmul(same, torch.stack(summed, dim=2))
    copies, heard = sums[..., 0], sums[..., -1]
    return valid * torch.where(heard > 1, 1 + heard.clamp_min(1).log(), heard) / copies.clamp_min(1)


def _following(values: Tensor) -> Tensor:
    """The value of the next token, at each token; zero after the last."""
    return functional.pad(values[:, 1:], (0, 1))


def _signs(count: int, dim: int) -> Tensor:
    """Random signs int8 [count, dim]."""
    return torch.randint(0, 2, (count, dim), dtype=torch.int8) * 2 - 1
