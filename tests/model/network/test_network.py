from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from model import checkpoint
from model.checkpoint import CheckpointError
from model.fusion import FusionConfig
from model.image_encoders import ImageConfig
from model.lexical import LexicalConfig
from model.network import NetworkConfig, ProductEncoder, build, parameters
from model.text_encoders import TextCnnConfig, TransformerConfig, TransformerEncoder

IDS = torch.tensor([[2, 5, 6, 24, 3], [2, 9, 3, 0, 0], [2, 3, 0, 0, 0]])
MASK = (IDS != 0).long()
LEXICAL = LexicalConfig(buckets=31, longest=2)


@pytest.fixture
def text_only(transformer: TransformerConfig) -> NetworkConfig:
    return NetworkConfig(text=transformer, dim=12, max_tokens=16, lexical=LEXICAL)


@pytest.fixture
def both(cnn: TextCnnConfig) -> NetworkConfig:
    return NetworkConfig(text=cnn, dim=12, max_tokens=16, lexical=LEXICAL, image=ImageConfig(size=32))


def picture(rows: int) -> Tensor:
    return torch.randn(rows, 3, 32, 32)


def is_unit(vectors: Tensor) -> bool:
    return torch.allclose(vectors.norm(dim=1), torch.ones(len(vectors)), atol=1e-5)


def test_text_only_gives_unit_vectors(text_only: NetworkConfig) -> None:
    vectors = ProductEncoder(text_only).eval()(IDS, MASK)
    assert vectors.shape == (3, 12)
    assert is_unit(vectors)


def test_the_lexical_branch_is_added_to_the_unit_vector(text_only: NetworkConfig, tokenizer: Tokenizer) -> None:
    network = ProductEncoder(text_only).eval()
    assert network.lexical is not None
    network.lexical.read_vocabulary(tokenizer)
    dense = torch.nn.functional.normalize(network.head(network.text(IDS, MASK)), dim=1)
    expected = torch.nn.functional.normalize(dense + network.lexical(IDS, MASK), dim=1)
    assert torch.allclose(network(IDS, MASK), expected, atol=1e-6)
    assert torch.allclose(network(IDS, MASK)[2], dense[2], atol=1e-6), (
        "a text without words is left to the other branch"
    )


def test_a_step_of_training_may_look_at_one_branch(text_only: NetworkConfig, tokenizer: Tokenizer) -> None:
    """Text and image without the n-grams, or these alone; what is served is always all of it."""
    network = ProductEncoder(text_only)
    assert network.lexical is not None
    network.lexical.read_vocabulary(tokenizer)
    network.text.eval()
    whole = network.eval()(IDS, MASK)
    dense = torch.nn.functional.normalize(network.head(network.text(IDS, MASK)), dim=1)
    network.train()
    network.text.eval()  # no dropout
    network.branch = "dense"
    assert torch.allclose(network(IDS, MASK), dense, atol=1e-6)
    network.branch = "lexical"
    words = network(IDS, MASK)
    assert torch.allclose(words, torch.nn.functional.normalize(network.lexical(IDS, MASK), dim=1), atol=1e-6)
    assert not words[2].any(), "a text without words has no n-gram"
    words[:, 0].sum().backward()
    trained = {name for name, weight in network.named_parameters() if weight.grad is not None}
    assert trained == {"lexical.weights.weight", "lexical.log_gains"}, "alone it has nothing to be scaled beside"
    assert torch.equal(network.eval()(IDS, MASK), whole)


def test_n_grams_alone_are_those_of_products_with_a_text(both: NetworkConfig, tokenizer: Tokenizer) -> None:
    network = ProductEncoder(both)
    assert network.lexical is not None
    network.lexical.read_vocabulary(tokenizer)
    network.branch = "lexical"
    words = network(IDS, MASK, picture(3), torch.tensor([[1.0], [0.0], [1.0]]), torch.ones(3, 1))
    assert words.any(dim=1).tolist() == [True, False, False]


@pytest.mark.parametrize(("dropout", "alone"), [(0.6, 0.5), (-0.1, 0.2)])
def test_shares_of_branches_that_are_none_are_refused(dropout: float, alone: float) -> None:
    with pytest.raises(ValueError, match=rf"dropout={dropout} and alone={alone} are shares of the steps"):
        LexicalConfig(buckets=31, dropout=dropout, alone=alone)


def test_a_linear_projection_starts_orthogonal(text_only: NetworkConfig) -> None:
    weight = ProductEncoder(text_only).head.weight
    assert isinstance(weight, Tensor)
    assert torch.allclose(weight @ weight.T, torch.eye(12), atol=1e-5)


def test_identity_needs_the_width_of_the_encoder(text_only: NetworkConfig) -> None:
    plain = msgspec.structs.replace(text_only, projection="identity")
    with pytest.raises(
        ValueError, match="dim=12, but the text encoder gives 16: set projection to linear, or dim to 16"
    ):
        ProductEncoder(plain)
    network = ProductEncoder(msgspec.structs.replace(plain, dim=16, lexical=None)).eval()
    assert torch.allclose(network(IDS, MASK), torch.nn.functional.normalize(network.text(IDS, MASK)), atol=1e-6)


@pytest.mark.parametrize("kind", ["concat", "gated"])
def test_a_missing_modality_has_no_influence(both: NetworkConfig, kind: str) -> None:
    network = ProductEncoder(msgspec.structs.replace(both, fusion=FusionConfig(kind=kind, hidden=8))).eval()  # type: ignore[arg-type]
    one, zero = torch.ones(3, 1), torch.zeros(3, 1)
    full = network(IDS, MASK, picture(3), one, one)
    assert is_unit(full)
    no_image = network(IDS, MASK, picture(3), one, zero)
    assert is_unit(no_image)
    assert torch.allclose(no_image, network(IDS, MASK, picture(3), one, zero), atol=1e-6)
    image = picture(3)
    no_text = network(IDS, MASK, image, zero, one)
    assert is_unit(no_text)
    assert torch.allclose(no_text, network(IDS.flip(0), MASK.flip(0), image, zero, one), atol=1e-6)
    assert not torch.allclose(full, no_image, atol=1e-3)
    assert not torch.allclose(full, no_text, atol=1e-3)


def test_every_weight_trains_on_a_mixed_batch(both: NetworkConfig) -> None:
    network = ProductEncoder(both)
    has_text, has_image = torch.tensor([[1.0], [0.0], [1.0]]), torch.tensor([[1.0], [1.0], [0.0]])
    network(IDS, MASK, picture(3), has_text, has_image)[:, 0].sum().backward()
    idle = [name for name, weight in network.named_parameters() if weight.requires_grad and weight.grad is None]
    assert idle == []
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in network.parameters())


def test_build_reads_source_and_shape(transformer: TransformerConfig, tmp_path: Path) -> None:
    made = TransformerEncoder(transformer)
    made.network.save_pretrained(tmp_path / "bert")
    source = TransformerConfig(source=str(tmp_path / "bert"))
    network = build(NetworkConfig(text=source, dim=8), tmp_path).eval()
    assert torch.equal(network.text(IDS, MASK), made.eval()(IDS, MASK))
    assert isinstance(network.config.text, TransformerConfig)
    assert network.config.text.shape["hidden_size"] == 16
    with pytest.raises(ValueError, match=r"was not read yet: build the network with model\.network\.build"):
        ProductEncoder(NetworkConfig(text=source))


def test_a_checkpoint_needs_no_source(both: NetworkConfig, tmp_path: Path) -> None:
    network = ProductEncoder(both).eval()
    checkpoint.save(network, tmp_path / "best.pt")
    again = checkpoint.load(tmp_path / "best.pt")
    assert again.config == network.config
    assert parameters(again) == parameters(network)
    inputs = (IDS, MASK, picture(3), torch.ones(3, 1), torch.ones(3, 1))
    assert torch.equal(again(*inputs), network(*inputs))
    assert [file.name for file in tmp_path.iterdir()] == ["best.pt"]


def test_another_architecture_is_refused_with_both_sides(text_only: NetworkConfig, tmp_path: Path) -> None:
    network = ProductEncoder(text_only)
    other = ProductEncoder(msgspec.structs.replace(text_only, dim=8, lexical=None))
    before = [weight.clone() for weight in other.parameters()]
    with pytest.raises(CheckpointError) as refused:
        checkpoint.restore(other, checkpoint.packed(network), tmp_path / "a.pt")
    assert "dim is 12 there and 8 here" in str(refused.value)
    assert "lexical is {'buckets': 31" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert all(torch.equal(one, two) for one, two in zip(before, other.parameters(), strict=True))
    twin = ProductEncoder(text_only).eval()
    checkpoint.restore(twin, checkpoint.packed(network), tmp_path / "a.pt")
    assert torch.equal(twin(IDS, MASK), network.eval()(IDS, MASK))


def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.pt"
    with pytest.raises(CheckpointError, match="is missing: name the checkpoint of a training"):
        checkpoint.load(file)
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        checkpoint.load(file)
    torch.save({"format": 7}, file)
    with pytest.raises(CheckpointError, match="has checkpoint format 7, this version reads 1"):
        checkpoint.load(file)


def test_configs_are_read_from_text_and_typos_refused() -> None:
    config = msgspec.json.decode(b'{"text": {"kind": "cnn"}, "lexical": {"longest": 4}}', type=NetworkConfig)
    assert config.text == TextCnnConfig()
    assert config.lexical == LexicalConfig(longest=4)
    with pytest.raises(msgspec.ValidationError, match="bucket"):
        msgspec.json.decode(b'{"text": {"kind": "cnn"}, "lexical": {"bucket": 4}}', type=NetworkConfig)
