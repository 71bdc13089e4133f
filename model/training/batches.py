"""Items to tensors: what the network takes, for the rows of one step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from model.bundle import ImageSpec, TextSpec
from model.data.image_views import ImageViews
from model.data.items import Item, Items
from model.data.sampler import NONE, PairBatch, PairBatches
from model.data.text_views import view
from model.images import pixels
from model.text import cutting, product_text
from model.training.categories import Categories
from model.training.config import TrainConfig
from model.training.labels import Labels
from producer.product import Product

VIEWS, SOURCES, HIDDEN, IMAGE_VIEWS, BRANCH = 1, 2, 3, 4, 5
"""Numbers of the dice that views, sources, hidden categories and branches are drawn with, beside those of the sampler."""
SEEDS = 2**31

Inputs = dict[str, Tensor]
Read = Callable[[Item], bytes | None]
"""The image of an item, if there is one."""


@dataclass(frozen=True, slots=True)
class Step:
    """The rows of one step: anchors, as many positives, negatives; what the network reads of them, and what is known."""

    inputs: Inputs
    labels: Labels


class Collator:
    """Makes the tensors of docs/model-bundle.md from products.

    Args:
        tokenizer: of the network; cut at ``tokens``.
        text: how a product becomes text.
        image: how an image becomes pixels; None for a network that reads text only.
    """

    def __init__(self, tokenizer: Tokenizer, tokens: int, text: TextSpec, image: ImageSpec | None) -> None:
        self._tokenizer = cutting(tokenizer, tokens)
        self._text = text
        self.image = image

    @property
    def reads_images(self) -> bool:
        """Whether images are wanted at all."""
        return self.image is not None

    def inputs(self, products: Sequence[Product], images: Sequence[bytes | None]) -> Inputs:
        """Tensors of n products: ids and mask int64 [n, tokens], and those of their images if the network reads any."""
        texts = [product_text(product, self._text) for product in products]
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        longest = max(map(len, ids))
        padded = torch.zeros(len(ids), longest, dtype=torch.int64)
        mask = torch.zeros(len(ids), longest, dtype=torch.int64)
        for row, found in enumerate(ids):
            padded[row, : len(found)] = torch.tensor(found)
            mask[row, : len(found)] = 1
        inputs = {"input_ids": padded, "attention_mask": mask}
        return inputs if self.image is None else inputs | _images(images, texts, self.image)


def _images(images: Sequence[bytes | None], texts: Sequence[str], spec: ImageSpec) -> Inputs:
    blank = np.zeros((3, spec.height, spec.width), np.float32)
    drawn = [blank if image is None else pixels(image, spec) for image in images]
    return {
        "pixel_values": torch.from_numpy(np.stack(drawn)),
        "has_text": torch.tensor([[float(bool(text))] for text in texts]),
        "has_image": torch.tensor([[float(image is not None)] for image in images]),
    }


class Steps:
    """The steps of a training by their number: the same for the same seed, wherever a run goes on.

    Each step is of one source: its products are hard to tell from one another, those of another source are not.
    """

    def __init__(
        self,
        parts: Sequence[Items],
        config: TrainConfig,
        collator: Collator,
        read: Read,
        categories: Categories,
        ranks: tuple[int, int] = (0, 1),
    ) -> None:
        """``parts`` are the items of each source; ``ranks`` is the number of this process and how many there are."""
        self._parts = parts
        self._config = config
        self._collator = collator
        self._read = read
        self._categories = categories
        self._rank, self._ranks = ranks
        self._image_views = None if collator.image is None else ImageViews(collator.image, config.image_view_strength)
        self._batches = [self._of(part, config.seed + number) for number, part in enumerate(parts)]
        weights = np.array([source.weight for source in config.sources])
        self._shares = weights / weights.sum()

    def mine(self, negatives: Sequence[Mapping[str, Sequence[str]]]) -> None:
        """From the next ``from_step`` on take hard negatives by key from here, for each source, beside labelled ones."""
        for number, (part, mined) in enumerate(zip(self._parts, negatives, strict=True)):
            keys = part.negatives.keys() | mined.keys()
            both = {key: [*part.negatives.get(key, ()), *mined.get(key, ())] for key in keys}
            joined = Items(part.items, part.groups, both)
            self._batches[number] = self._of(joined, self._config.seed + number)

    def from_step(self, first: int) -> Iterator[Step]:
        """The steps from that number on, from 0, without end."""
        sources = self._sources()
        passed = Counter(islice(sources, first))
        streams = [self._stream(number, passed[number]) for number in range(len(self._parts))]
        for number in sources:
            yield next(streams[number])

    def _of(self, part: Items, seed: int) -> PairBatches:
        negatives = part.negatives if self._config.loss.hard_negatives else None
        return PairBatches(part.items, part.groups, self._config.batch, seed, negatives)

    def _sources(self) -> Iterator[int]:
        """The number of the source of each step; the same in every process."""
        random = np.random.default_rng([self._config.seed, SOURCES])
        while True:
            yield int(random.choice(len(self._parts), p=self._shares))

    def _stream(self, number: int, passed: int) -> Iterator[Step]:
        """The steps of one source, of this process, after those that have passed."""
        batches = self._batches[number]
        epoch, at = divmod(passed * self._ranks, len(batches))
        drawn = chain.from_iterable(batches.epoch(epoch + more, at if more == 0 else 0) for more in count())
        for batch in islice(drawn, self._rank, None, self._ranks):
            yield self._filled(self._parts[number], batches, batch)

    def _filled(self, part: Items, batches: PairBatches, batch: PairBatch) -> Step:
        random, coins = (batches.generator(batch.epoch, batch.step, purpose) for purpose in (VIEWS, HIDDEN))
        rows = np.concatenate([batch.anchors, batch.positives, batch.negatives[batch.negatives != NONE]])
        items = [part.items[row] for row in rows]
        seen = [self._categories.seen(item.product, coins) for item in items]
        products = [view(product, random, self._config.view_strength) for product, _ in seen]
        groups, categories = torch.tensor([part.groups[row] for row in rows]), torch.tensor([told for _, told in seen])
        images = [self._read(item) if self._collator.reads_images else None for item in items]
        inputs = self._collator.inputs(products, images)
        if self._image_views is not None:
            seed = int(batches.generator(batch.epoch, batch.step, IMAGE_VIEWS).integers(SEEDS))
            given = inputs["has_image"].squeeze(1) > 0  # a source without images has none to change
            inputs["pixel_values"][given] = self._image_views(inputs["pixel_values"][given], seed)
        return Step(inputs, Labels(groups, categories, len(batch.anchors)))


def sliced(step: Step, size: int, device: torch.device) -> list[Inputs]:
    """The inputs of a step in chunks of so many rows, on the device."""
    parts = {name: tensor.to(device).split(size) for name, tensor in step.inputs.items()}
    return [dict(zip(parts, chunk, strict=True)) for chunk in zip(*parts.values(), strict=True)]
