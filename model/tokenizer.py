"""Text to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tokenizers

from model.errors import BundleError


class Tokenizer:
    """A ``tokenizer.json`` that cuts at ``max_tokens`` (special tokens included) and never pads."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        """Read the file.

        Raises:
            BundleError: the file is no tokenizer.
        """
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise BundleError(f"{path} is not a tokenizer ({error}): build the bundle again") from error
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, at most ``max_tokens`` each."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]
