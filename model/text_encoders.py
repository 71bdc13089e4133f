"""Text encoders: a BERT-style transformer of any make, and TextCNN, which trains from scratch in minutes.

Both take token ids and a mask and give one vector a text; no vector depends on the padding or on the rest of the batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, cast

import msgspec
import torch
from msgspec import Meta
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from model.ranges import Count, Positive, Share


class TransformerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="transformer", tag_field="kind"):
    """A transformer.

    Attributes:
        source: a name of model.pretrained, or a folder as the transformers library saves it; where the weights come from.
        pooling: the mean over the unmasked tokens, or the first token, [CLS].
        frozen_layers: so many lower layers, and the embeddings below them, do not train; 0 trains everything.
        dropout: while training, of hidden states and of attention.
        shape: the library's own configuration; read from ``source`` when empty.
    """

    source: str = ""
    pooling: Literal["mean", "cls"] = "mean"
    frozen_layers: Count = 0
    dropout: Share = 0.1
    shape: dict[str, Any] = {}


class TextCnnConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="cnn", tag_field="kind"):
    """TextCNN: ``channels`` filters for each of the ``widths``, over token embeddings of ``embedding`` numbers."""

    vocabulary: Positive = 30522
    embedding: Positive = 128
    widths: Annotated[tuple[Positive, ...], Meta(min_length=1)] = (3, 4, 5)
    channels: Positive = 256
    dropout: Share = 0.1


TextConfig: TypeAlias = TransformerConfig | TextCnnConfig


class TransformerEncoder(nn.Module):
    """Hidden states of a transformer, pooled.

    Shape:
        input_ids, attention_mask int64 [n, tokens] -> float32 [n, width].

    Raises:
        ValueError: the config has no shape, or freezes more layers than there are.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        if not config.shape:
            raise ValueError(
                f"text.source={config.source!r} was not read yet: build the network with model.network.build"
            )
        self.pooling = config.pooling
        self.network = _transformer(config)
        self.width = int(self.network.config.hidden_size)
        self.vocabulary = int(self.network.config.vocab_size)
        _freeze(self.network, config.frozen_layers)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode and pool."""
        hidden: Tensor = self.network(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.pooling == "cls":
            return hidden[:, 0]
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1)

    def read(self, folder: Path) -> None:
        """Take the weights of a folder.

        Raises:
            ValueError: its ``model.safetensors`` is missing, or lacks weights.
        """
        if not (file := folder / "model.safetensors").is_file():
            raise ValueError(f"{folder} has no model.safetensors: save the model there in one piece, in that format")
        prefix = f"{self.network.base_model_prefix}."
        stored = {name.removeprefix(prefix): tensor.float() for name, tensor in load_file(file).items()}
        if missing := self.network.state_dict().keys() - stored.keys():
            raise ValueError(
                f"{file} lacks {len(missing)} weights of its config.json, {min(missing)} first: save it again"
            )
        self.network.load_state_dict(stored, strict=False)


class TextCnn(nn.Module):
    """TextCNN: convolutions of several widths over token embeddings, the maximum over time of each filter.

    After Kim, "Convolutional Neural Networks for Sentence Classification" (2014), as an encoder: without its classifier.

    Shape:
        input_ids, attention_mask int64 [n, tokens] -> float32 [n, widths * channels].
    """

    def __init__(self, config: TextCnnConfig) -> None:
        super().__init__()
        self.width = len(config.widths) * config.channels
        self.vocabulary = config.vocabulary
        self.words = nn.Embedding(config.vocabulary, config.embedding)
        nn.init.normal_(self.words.weight, std=0.1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.embedding, config.channels, width) for width in config.widths
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode; a filter may begin at any token and sees zeros beyond the last."""
        mask = attention_mask.unsqueeze(1).to(self.words.weight.dtype)
        words = self.dropout(self.words(input_ids)).transpose(1, 2) * mask
        return torch.cat([self._strongest(cast("nn.Conv1d", one), words, mask) for one in self.convolutions], dim=1)

    def _strongest(self, convolution: nn.Conv1d, words: Tensor, mask: Tensor) -> Tensor:
        beyond = int(convolution.weight.shape[-1]) - 1
        answers = torch.relu(convolution(nn.functional.pad(words, (0, beyond)))) * mask
        return answers.amax(dim=2)


def text_encoder(config: TextConfig) -> TransformerEncoder | TextCnn:
    """The encoder that a config describes, with random weights."""
    return TextCnn(config) if isinstance(config, TextCnnConfig) else TransformerEncoder(config)


def shape_of(folder: Path) -> dict[str, Any]:
    """The transformers configuration of a folder.

    Raises:
        FileNotFoundError: it has none.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} has no config.json: name a folder that the transformers library saved")
    found = AutoConfig.from_pretrained(folder, local_files_only=True)
    return {**found.to_diff_dict(), "model_type": found.model_type}


def _transformer(config: TransformerConfig) -> Any:
    shape = config.shape | {"hidden_dropout_prob": config.dropout, "attention_probs_dropout_prob": config.dropout}
    network = AutoModel.from_config(AutoConfig.for_model(**shape), attn_implementation="sdpa")
    network.pooler = None  # would be weights that nothing trains or reads
    return network


def _freeze(network: Any, layers: int) -> None:
    """Freeze the embeddings and the lowest layers."""
    stack = network.encoder.layer if layers else []
    if layers > len(stack):
        raise ValueError(f"text.frozen_layers={layers}, but the transformer has {len(stack)} layers: freeze fewer")
    for part in [network.embeddings, *stack[:layers]] if layers else []:
        part.requires_grad_(False)
