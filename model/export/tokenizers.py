"""A bundle's tokenizer, written in Rust, against the one of the transformers library that is written in Python."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from tokenizers import Tokenizer
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from model.bundle import TOKENIZER


class Disagreement(msgspec.Struct, frozen=True):
    """A text, and its token ids by either tokenizer."""

    text: str
    bundle: tuple[int, ...]
    reference: tuple[int, ...]


def disagreements(folder: Path, texts: Sequence[str]) -> list[Disagreement]:
    """The texts on which both tokenizers differ; nothing is cut.

    Args:
        folder: a bundle, whose tokenizer is a WordPiece one of BERT.
        texts: to compare on.

    Raises:
        ValueError: the tokenizer is of another kind.
    """
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    reference = python_tokenizer(folder / TOKENIZER)
    encodings = tokenizer.encode_batch(list(texts))
    pairs = (
        (text, tuple(encoding.ids), tuple(reference.encode(text)))
        for text, encoding in zip(texts, encodings, strict=True)
    )
    return [Disagreement(*pair) for pair in pairs if pair[1] != pair[2]]


def python_tokenizer(file: Path) -> BertTokenizerLegacy:
    """The Python tokenizer with the vocabulary and the settings of a ``tokenizer.json``.

    Raises:
        ValueError: that is no WordPiece tokenizer of BERT.
    """
    stored: dict[str, Any] = json.loads(file.read_text("utf-8"))
    kinds = (stored["model"].get("type"), (stored.get("normalizer") or {}).get("type"))
    if kinds != ("WordPiece", "BertNormalizer"):
        raise ValueError(
            f"{file} is a tokenizer of {kinds}, not of WordPiece with BertNormalizer: there is nothing to compare"
        )
    words: dict[str, int] = stored["model"]["vocab"]
    normalizer = stored["normalizer"]
    with tempfile.TemporaryDirectory() as scratch:
        vocabulary = Path(scratch) / "vocab.txt"
        vocabulary.write_text("\n".join(sorted(words, key=words.__getitem__)) + "\n", "utf-8")
        return BertTokenizerLegacy(
            str(vocabulary),
            do_lower_case=normalizer["lowercase"],
            strip_accents=normalizer["strip_accents"],
            tokenize_chinese_chars=normalizer["handle_chinese_chars"],
        )
