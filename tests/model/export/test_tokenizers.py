from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from model.bundle import TOKENIZER
from model.export.tokenizers import disagreements, python_tokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "desk", "##s", "oak", "橡", "木", "cafe", "16", "##gb"]
TEXTS = ["Oak desks", "oak-desk 16GB", "橡木 desk", "Café", "", "unknown\tthing  oak", "oak\u00a0desk"]


def wordpiece(folder: Path, words: list[str], *, lowercase: bool) -> Path:
    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.add_special_tokens(words[:5])
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.save(str(folder / TOKENIZER))
    return folder


@pytest.mark.parametrize("lowercase", [True, False])
def test_both_agree(tmp_path: Path, lowercase: bool) -> None:
    assert disagreements(wordpiece(tmp_path, WORDS, lowercase=lowercase), TEXTS) == []


def test_a_difference_is_found_and_shown(tmp_path: Path) -> None:
    folder = wordpiece(tmp_path, WORDS, lowercase=True)
    stored = json.loads((folder / TOKENIZER).read_text("utf-8"))
    stored["pre_tokenizer"] = {"type": "WhitespaceSplit"}
    (folder / TOKENIZER).write_text(json.dumps(stored), "utf-8")
    (found,) = disagreements(folder, ["oak desk", "oak-desk"])
    assert found.text == "oak-desk"
    assert found.bundle == (2, 1, 3)
    assert found.reference == (2, 7, 1, 5, 3)


def test_another_kind_of_tokenizer_is_refused(tmp_path: Path) -> None:
    Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")).save(str(tmp_path / TOKENIZER))
    with pytest.raises(ValueError, match=r"is a tokenizer of \('WordLevel', None\)"):
        python_tokenizer(tmp_path / TOKENIZER)


@pytest.mark.shared
@pytest.mark.bundle
def test_the_default_bundle_agrees_on_ten_thousand_titles(shared_data: Path, bundle: Path) -> None:
    files = ("wdc_lspc_titles/products", "ali_ember_zh/products", "abt_buy/tableA", "amazon_google/tableB")
    texts = [text for file in files for text in titles(shared_data / f"{file}.jsonl.gz", 3000)]
    assert len(texts) >= 10_000
    assert disagreements(bundle, texts) == []


def titles(file: Path, count: int) -> list[str]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["title"] for line in itertools.islice(lines, count)]
