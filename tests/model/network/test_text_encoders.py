from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from model.text_encoders import (
    TextCnn,
    TextCnnConfig,
    TextConfig,
    TransformerConfig,
    TransformerEncoder,
    shape_of,
    text_encoder,
)

KINDS = ["transformer", "cnn"]
IDS = torch.tensor([[2, 5, 6, 7, 3], [2, 9, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.fixture(params=KINDS)
def config(request: pytest.FixtureRequest) -> TextConfig:
    found: TextConfig = request.getfixturevalue(request.param)
    return found


def test_padding_and_company_change_nothing(config: TextConfig) -> None:
    encoder = text_encoder(config).eval()
    together = encoder(IDS, MASK)
    assert together.shape == (2, encoder.width)
    assert torch.allclose(encoder(IDS[1:, :3], MASK[1:, :3]), together[1:], atol=1e-6)
    masked = IDS.clone()
    masked[1, 3:] = 17
    assert torch.allclose(encoder(masked, MASK), together, atol=1e-6)
    assert not torch.allclose(together[0], together[1], atol=1e-2)


def test_every_weight_that_trains_gets_a_gradient(config: TextConfig) -> None:
    encoder = text_encoder(config)
    encoder(IDS, MASK).square().sum().backward()
    idle = [name for name, weight in encoder.named_parameters() if weight.requires_grad and weight.grad is None]
    assert idle == []


def test_mean_pooling_is_the_mean_of_the_unmasked(transformer: TransformerConfig) -> None:
    encoder = TransformerEncoder(transformer).eval()
    hidden = encoder.network(input_ids=IDS, attention_mask=MASK).last_hidden_state
    assert torch.allclose(encoder(IDS, MASK)[1], hidden[1, :3].mean(dim=0), atol=1e-6)


def test_cls_pooling_is_the_first_token(transformer: TransformerConfig) -> None:
    encoder = TransformerEncoder(msgspec.structs.replace(transformer, pooling="cls")).eval()
    hidden = encoder.network(input_ids=IDS, attention_mask=MASK).last_hidden_state
    assert torch.equal(encoder(IDS, MASK), hidden[:, 0])


def test_text_cnn_is_the_convolution_of_the_paper(cnn: TextCnnConfig) -> None:
    """Windows written out one by one: relu(filter . words + bias), the maximum over all windows."""
    encoder = TextCnn(cnn).eval()
    ids = [2, 5, 6, 7, 3]
    words = torch.cat([encoder.words.weight[ids], torch.zeros(2, cnn.embedding)])
    best: list[Tensor] = []
    for width, convolution in zip(cnn.widths, encoder.convolutions, strict=True):
        assert isinstance(convolution, nn.Conv1d)
        assert convolution.bias is not None
        windows = [words[i : i + width].T for i in range(len(ids))]
        answers = [torch.relu((convolution.weight * window).sum(dim=(1, 2)) + convolution.bias) for window in windows]
        best.append(torch.stack(answers).amax(dim=0))
    assert torch.allclose(encoder(IDS[:1], MASK[:1])[0], torch.cat(best), atol=1e-6)


def test_lower_layers_can_be_frozen(transformer: TransformerConfig) -> None:
    encoder = TransformerEncoder(msgspec.structs.replace(transformer, frozen_layers=1))
    trains = {name.split(".")[3] for name, weight in encoder.named_parameters() if weight.requires_grad}
    assert trains == {"1"}
    with pytest.raises(ValueError, match=r"text\.frozen_layers=3, but the transformer has 2 layers"):
        TransformerEncoder(msgspec.structs.replace(transformer, frozen_layers=3))


def test_a_folder_of_the_library_is_read(transformer: TransformerConfig, tmp_path: Path) -> None:
    made = TransformerEncoder(transformer)
    made.network.save_pretrained(tmp_path)
    shape = shape_of(tmp_path)
    assert {name: shape[name] for name in transformer.shape} == transformer.shape
    again = TransformerEncoder(msgspec.structs.replace(transformer, shape=shape))
    again.read(tmp_path)
    assert torch.equal(again.eval()(IDS, MASK), made.eval()(IDS, MASK))
    assert json.loads(msgspec.json.encode(shape)) == shape, "the shape goes into checkpoints"


def test_a_folder_without_all_weights_is_refused(transformer: TransformerConfig, tmp_path: Path) -> None:
    encoder = TransformerEncoder(transformer)
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        shape_of(tmp_path)
    with pytest.raises(ValueError, match=r"has no model\.safetensors"):
        encoder.read(tmp_path)
    save_file({"embeddings.LayerNorm.weight": torch.ones(16)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"lacks \d+ weights of its config.json, embeddings"):
        encoder.read(tmp_path)


def test_a_filter_never_answers_to_padding_alone(cnn: TextCnnConfig) -> None:
    """Filters that every word weakens: nothing would be nearer to their bias than the padding."""
    encoder = TextCnn(cnn).eval()
    with torch.no_grad():
        encoder.words.weight.fill_(0.1)
        for name, weight in encoder.convolutions.named_parameters():
            weight.fill_(1 if name.endswith("bias") else -0.1)
    short, long = encoder(IDS[1:, :3], MASK[1:, :3]), encoder(IDS[1:], MASK[1:])
    assert torch.equal(short, long)
    assert (long < 1).all()
