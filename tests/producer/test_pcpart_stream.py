"""The real recorded stream of a price comparison: 185,521 changes, folded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from producer.catalogue import read_catalogue
from producer.changes import change_of
from producer.events import Deletion, Product
from producer.folding import FoldStore

pytestmark = pytest.mark.shared


def test_folding_the_stream_leaves_the_products_that_are_alive(shared_data: Path, tmp_path: Path) -> None:
    kinds: Counter[type] = Counter()
    with FoldStore(tmp_path / "folded.sqlite") as fold:
        for entry in read_catalogue(shared_data / "pcpart_stream" / "events.jsonl.gz", {}, []):
            event = fold.apply(change_of(entry))
            kinds[type(event)] += 1
            if isinstance(event, Product):
                assert event.title, "partial changes must have become full states"
        alive = len(fold)

    assert alive == 66_778
    assert kinds == {Product: 184_985, Deletion: 536}


@pytest.mark.parametrize(
    ("file", "number"),
    [
        ("abt_buy/tableA.jsonl.gz", 1081),
        ("amazon_google/tableB.jsonl.gz", 3226),
        ("ali_ember_zh/products.jsonl.gz", 24_138),
        ("fashion_images_1500/products.jsonl.gz", 1500),
    ],
)
def test_real_catalogues_are_read(shared_data: Path, file: str, number: int) -> None:
    entries = list(read_catalogue(shared_data / file, {}, []))

    assert len(entries) == number
    assert all(entry.fields()["id"] for entry in entries)
