"""Systems to be compared with: TF-IDF and BM25."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import bm25s
import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from model.bundle import TextSpec
from model.evaluation.ranking import Modality, Scorer, System
from model.text import product_text
from producer.events import Product

TITLE = TextSpec(("title",), " ")
EVERYTHING = TextSpec(("title", "brand", "category", "description", "attributes"), " ")
K1 = 1.2
B = 0.75
WORD = re.compile(r"\w+")
SPACE = re.compile(r"\s+")

Tokens = Callable[[str], list[str]]


class TfidfRanker:
    """Cosine of TF-IDF vectors of character n-grams, sublinear."""

    modalities: frozenset[Modality] = frozenset({"text"})

    def __init__(self, spec: TextSpec, analyzer: Literal["char", "char_wb"], lengths: tuple[int, int]) -> None:
        self._spec = spec
        self._analyzer = analyzer
        self._lengths = lengths

    def over(self, products: Sequence[Product]) -> TfidfSpace:
        """Weights of the n-grams are those of these products.

        Raises:
            ValueError: no product has any text.
        """
        vectorizer = TfidfVectorizer(analyzer=self._analyzer, ngram_range=self._lengths, sublinear_tf=True)
        texts = [product_text(product, self._spec) for product in products]
        if not any(texts):
            raise ValueError(
                f"{len(products)} products have no text in {', '.join(self._spec.fields)}: nothing to weigh"
            )
        return TfidfSpace(_positions(products), vectorizer.fit_transform(texts).astype(np.float32))


class TfidfSpace:
    """Rows of a sparse matrix float32 [products, n-grams]."""

    def __init__(self, position: Mapping[str, int], matrix: csr_matrix) -> None:
        self._position = position
        self._matrix = matrix

    def scorer(self, queries: Sequence[str], candidates: Sequence[str]) -> Scorer:
        """Cosine similarity."""
        left = self._matrix[[self._position[id] for id in queries]]
        right = self._matrix[[self._position[id] for id in candidates]].T.tocsr()
        return lambda rows: np.asarray((left[rows] @ right).toarray(), np.float32)


class Bm25Ranker:
    """BM25 over the candidates (k1 1.2, b 0.75); each distinct token of the query counts once.

    Source: Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009.
    """

    modalities: frozenset[Modality] = frozenset({"text"})

    def __init__(self, spec: TextSpec, tokens: Tokens) -> None:
        self._spec = spec
        self._tokens = tokens

    def over(self, products: Sequence[Product]) -> Bm25Space:
        """Cut the texts into tokens."""
        return Bm25Space({product.id: self._tokens(product_text(product, self._spec)) for product in products})


class Bm25Space:
    """Tokens by product; rare tokens are those that are rare among the candidates of a search."""

    def __init__(self, tokens: Mapping[str, list[str]]) -> None:
        self._tokens = tokens

    def scorer(self, queries: Sequence[str], candidates: Sequence[str]) -> Scorer:
        """Index the candidates; a query of which nothing is known has a score of zero for all."""
        index = bm25s.BM25(k1=K1, b=B)
        index.index([self._tokens[id] for id in candidates], show_progress=False)
        known = [[token for token in dict.fromkeys(self._tokens[id]) if token in index.vocab_dict] for id in queries]
        nothing = np.zeros(len(candidates), np.float32)
        return lambda rows: np.stack(
            [np.asarray(index.get_scores(tokens), np.float32) if tokens else nothing for tokens in known[rows]]
        )


def words(text: str) -> list[str]:
    """Lower-cased runs of letters and digits."""
    return WORD.findall(text.lower())


def bigrams(text: str) -> list[str]:
    """Two neighbouring characters each, blanks left out: for writing without spaces."""
    joined = SPACE.sub("", text.lower())
    return [joined[at : at + 2] for at in range(len(joined) - 1)]


def lexical_baselines(language: str, spec: TextSpec = EVERYTHING) -> list[System]:
    """TF-IDF and BM25 as they suit the language: ``zh`` has no spaces between words."""
    chinese = language == "zh"
    tfidf = TfidfRanker(spec, "char", (1, 3)) if chinese else TfidfRanker(spec, "char_wb", (3, 5))
    return [
        System("TF-IDF", tfidf, baseline=True),
        System("BM25", Bm25Ranker(spec, bigrams if chinese else words), baseline=True),
    ]


def _positions(products: Sequence[Product]) -> dict[str, int]:
    return {product.id: at for at, product in enumerate(products)}
