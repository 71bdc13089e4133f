"""One tiny bundle of each kind, exported once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from model.export.bundle import About, export
from model.export.card import Card
from model.image_encoders import ImageConfig
from model.lexical import LexicalConfig
from model.network import NetworkConfig, ProductEncoder
from model.text_encoders import TextCnnConfig, TransformerConfig

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{i}" for i in range(30)), "desk", "16", "-"]
SHAPE = {
    "model_type": "bert",
    "vocab_size": 64,
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
TEXT = NetworkConfig(text=TransformerConfig(shape=SHAPE), dim=32, max_tokens=40, lexical=LexicalConfig(4096, 3))
BOTH = NetworkConfig(
    text=TextCnnConfig(vocabulary=64, embedding=16, channels=8),
    dim=16,
    max_tokens=24,
    lexical=LexicalConfig(97, 2, spelling=True),
    image=ImageConfig(size=32),
)
ABOUT = About(name="tiny", source="made by the tests", licence="Apache-2.0")
CARD = Card(
    data=("abt_buy, split train: no licence stated",),
    metrics=({"set": "abt_buy", "split": "test", "recall@1": 0.91234},),
)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(WORDS[:4])
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def network(config: NetworkConfig, tokenizer: Tokenizer) -> ProductEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = ProductEncoder(config).eval()
    assert made.lexical is not None
    made.lexical.read_vocabulary(tokenizer)
    return made


@pytest.fixture(scope="session")
def text_network(tokenizer: Tokenizer) -> ProductEncoder:
    return network(TEXT, tokenizer)


@pytest.fixture(scope="session")
def both_network(tokenizer: Tokenizer) -> ProductEncoder:
    return network(BOTH, tokenizer)


@pytest.fixture(scope="session")
def text_bundle(text_network: ProductEncoder, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text") / "bundle"
    export(text_network, tokenizer, folder, ABOUT, CARD)
    return folder


@pytest.fixture(scope="session")
def both_bundle(both_network: ProductEncoder, tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("both") / "bundle"
    export(both_network, tokenizer, folder, ABOUT, Card())
    return folder


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Distinct texts of 1 to 20 words."""
    random = torch.Generator().manual_seed(1)
    numbers = [torch.randint(0, 30, (1 + row % 20,), generator=random).tolist() for row in range(60)]
    return [" ".join([*(f"w{number}" for number in row), "desk", "16"]) for row in numbers]
