"""``manifest.json`` of a model bundle: what the files are, and how a product becomes the model's input."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FORMAT = 1
METRIC = "cosine"
TEXT_INPUTS = ("input_ids", "attention_mask")
IMAGE_INPUTS = ("pixel_values", "has_text", "has_image")

TextField = Literal["title", "brand", "category", "attributes", "description"]
Positive = Annotated[int, Meta(ge=1)]
Three = tuple[float, float, float]


class TextSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a product becomes text; the rules are in docs/model-bundle.md."""

    fields: Annotated[tuple[TextField, ...], Meta(min_length=1)] = (
        "title",
        "brand",
        "category",
        "attributes",
        "description",
    )
    separator: str = ". "
    attribute_separator: str = ", "
    name_separator: str = ": "
    list_separator: str = " / "
    max_characters: Positive = 8192


class ImageSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an image becomes float32 [3, height, width]: (pixel * scale - mean) / std, by channel in RGB order."""

    height: Positive
    width: Positive
    shortest_side: Positive
    scale: float
    mean: Three
    std: Three

    def __post_init__(self) -> None:
        """Refuse settings that no image can be prepared with."""
        if self.shortest_side < max(self.height, self.width):
            raise ValueError(f"shortest_side {self.shortest_side} is less than {self.height} x {self.width}")
        if min(self.std) <= 0:
            raise ValueError(f"std {self.std} must be above 0")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in ``manifest.json``; ``sha256`` maps every other file of the bundle to its hash."""

    format: int = FORMAT
    name: Annotated[str, Meta(min_length=1)]
    dim: Positive
    metric: str = METRIC
    max_tokens: Annotated[int, Meta(ge=3)]
    inputs: tuple[str, ...] = TEXT_INPUTS
    text: TextSpec = TextSpec()
    image: ImageSpec | None = None
    source: str
    licence: str
    created_at: Annotated[datetime, Meta(tz=True)]
    sha256: dict[str, Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]] = {}

    @property
    def wants_images(self) -> bool:
        """Whether the model reads images beside text."""
        return "pixel_values" in self.inputs
