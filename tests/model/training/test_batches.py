"""The rows of a step: images among them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer

from model.bundle import ImageSpec
from model.training.batches import Collator, Step, Steps
from model.training.categories import categories_of
from model.training.corpus import read

SPEC = ImageSpec(height=32, width=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture
def step_of(config_of: Any, shop: Path, words: Path) -> Any:
    """Makes step 3 of a training on the shop, with one noisy picture for products of side A, under changes of the config."""
    pixels = np.random.default_rng(2).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file := BytesIO(), "PNG")

    def make(**changes: Any) -> Step:
        config = config_of(**changes)
        corpus = read(config, shop)
        collator = Collator(Tokenizer.from_file(str(words / "tokenizer.json")), config.tokens, config.text, SPEC)
        categories = categories_of(config, [item.product for item in corpus.items()])
        steps = Steps(
            corpus.parts,
            config,
            collator,
            lambda item: file.getvalue() if item.product.id.startswith("a") else None,
            categories,
        )
        return next(steps.from_step(3))

    return make


def test_views_of_images_are_drawn_by_step(step_of: Any) -> None:
    plain, seen, again = step_of(), step_of(image_view_strength=0.6), step_of(image_view_strength=0.6)
    has = plain.inputs["has_image"].squeeze(1) > 0
    assert 0 < has.sum() < len(has)
    told = plain.inputs["pixel_values"][has]
    assert torch.equal(told, told[:1].expand_as(told))
    views = seen.inputs["pixel_values"][has]
    assert all(not torch.equal(view, told[0]) for view in views)
    assert len({round(view.sum().item(), 3) for view in views}) == len(views), "each has choices of its own"
    assert torch.equal(seen.inputs["pixel_values"], again.inputs["pixel_values"])
    assert not seen.inputs["pixel_values"][~has].any(), "what is no image has no view"
    for name in ("input_ids", "attention_mask", "has_text", "has_image"):
        assert torch.equal(plain.inputs[name], seen.inputs[name])
