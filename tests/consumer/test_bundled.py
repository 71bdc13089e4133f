"""Products and their images: encoded with what is there, and again when the image comes. A tiny model made on the spot."""

from __future__ import annotations

import base64
import json
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from consumer import bundled, waiting
from consumer.auditor import Auditor
from consumer.bundled import BundledEncoder
from consumer.catalogue import Catalogue
from consumer.ends import Ends
from consumer.errors import EncoderFailed
from consumer.exact import ExactIndex
from consumer.given import GivenVectors
from consumer.https import ImageUnavailable
from consumer.images import ImageLoader, ImagePending
from consumer.leadership import Leadership
from consumer.loop import Chores, Loop
from consumer.memory import MemoryLog, MemorySource, MemoryStore
from consumer.metrics import Metrics
from consumer.neighbours import NeighbourGraph
from consumer.pipeline import Pipeline
from consumer.start import catch_up, choose
from consumer.types import Generation
from model.bundle import ENCODER, TOKENIZER, ImageSpec, Manifest, sha256_of, write_manifest
from producer.events import Product

DIM = 5
"""Two words, then the mean colour."""
TEXT_INPUTS = ("input_ids", "attention_mask")
IMAGE_INPUTS = ("pixel_values", "has_text", "has_image")


def picture(colour: str) -> bytes:
    file = BytesIO()
    Image.new("RGB", (3, 3), colour).save(file, "PNG")
    return file.getvalue()


def model(*, images: bool) -> onnx.ModelProto:
    """Rows of an identity for the words, plus the mean colour; not normalised."""
    table = numpy_helper.from_array(np.eye(2, DIM, dtype=np.float32), "table")
    colours = numpy_helper.from_array(np.eye(3, DIM, k=2, dtype=np.float32), "colours")
    tokens = numpy_helper.from_array(np.array([1], np.int64), "tokens")
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "input_ids"], ["words"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "last"], ["mask3"]),
        node("Mul", ["words", "mask3"], ["masked"]),
        node("ReduceSum", ["masked", "tokens"], ["text"], keepdims=0),
        *([] if images else [node("Identity", ["text"], ["vector"])]),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "t"]) for name in TEXT_INPUTS]
    if images:
        shapes: list[list[str | int | None]] = [["b", 3, 2, 2], ["b", 1], ["b", 1]]
        pairs = zip(IMAGE_INPUTS, shapes, strict=True)
        inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in pairs]
        nodes += [
            node("ReduceMean", ["pixel_values"], ["colour"], axes=[2, 3], keepdims=0),
            node("MatMul", ["colour", "colours"], ["seen"]),
            node("Mul", ["seen", "has_image"], ["picture"]),
            node("Mul", ["text", "has_text"], ["read"]),
            node("Add", ["read", "picture"], ["vector"]),
        ]
    last = numpy_helper.from_array(np.array([2], np.int64), "last")
    outputs = [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["b", DIM])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [table, tokens, last, *([colours] if images else [])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_bundle(folder: Path, *, images: bool) -> Path:
    folder.mkdir()
    onnx.save(model(images=images), str(folder / ENCODER))
    tokenizer = Tokenizer(models.WordLevel({"shoe": 0, "desk": 1}, unk_token="desk"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / TOKENIZER))
    spec = ImageSpec(height=2, width=2, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    manifest = Manifest(
        format=1, name="tiny", dim=DIM, metric="cosine", max_tokens=8, source="made here", licence="Apache-2.0",
        inputs=TEXT_INPUTS + (IMAGE_INPUTS if images else ()), created_at="2026-01-01T00:00:00+00:00",
        sha256={name: sha256_of(folder / name) for name in (ENCODER, TOKENIZER)}, image=spec if images else None,
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


class Images(ImageLoader):
    """Images by name: bytes, an outcome, or absent while they are pending. Everything else is the loader's own."""

    def __init__(self, root: Path | None = None) -> None:
        self.counts: Counter[str] = Counter()
        super().__init__(root, lambda outcome: self.counts.update([outcome]), lambda: 0.0)
        self.there: dict[str, bytes | str] = {}
        self.asked: list[str] = []
        self.waits: list[float] = []
        self.late: dict[str, bytes | str] = {}

    def _remote(self, uri: str, start: bool) -> tuple[bytes, str]:
        if start:
            self.asked.append(uri)
        found = self.there.get(uri)
        if found is None:
            raise ImagePending(f"{uri} is not fetched yet")
        if isinstance(found, str):
            raise ImageUnavailable(found, uri)  # type: ignore[arg-type]
        return found, "read"

    def wait(self, uris: Any, seconds: float) -> None:
        self.waits.append(seconds)
        self.there |= self.late


URI = "https://shop.example/a.png"
RED = [0.0, 0, 1, 0, 0]
SHOE = [1.0, 0, 0, 0, 0]
RED_SHOE = [0.5**0.5, 0, 0.5**0.5, 0, 0]
PLAIN = Product(id="a", title="shoe", image=URI)
BARE = Product(id="a", image=URI)


@pytest.fixture
def images() -> Images:
    return Images()


@pytest.fixture
def encoder(tmp_path: Path, images: Images) -> BundledEncoder:
    return BundledEncoder.load(write_bundle(tmp_path / "bundle", images=True), "cpu", images)


def vectors(encoder: BundledEncoder, *products: Product) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in encoder.encode(products).tolist()]


def near(row: list[float]) -> list[float]:
    return [round(value, 4) for value in row]


def test_images_of_all_kinds_are_encoded(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(picture("red"))
    encoder = BundledEncoder.load(write_bundle(tmp_path / "bundle", images=True), "cpu", Images(tmp_path))
    data = "data:image/png;base64," + base64.b64encode(picture("red")).decode()
    products = [Product(id=uri, title="shoe", image=uri) for uri in ("red.png", data)]
    assert vectors(encoder, *products, Product(id="b", title="shoe")) == [near(RED_SHOE), near(RED_SHOE), SHOE]
    assert encoder.revisit(0) == []


def test_a_pending_image_is_left_out_and_offered_once_it_is_there(encoder: BundledEncoder, images: Images) -> None:
    assert vectors(encoder, PLAIN) == [SHOE]
    assert (images.waits, images.counts) == ([], {})
    assert encoder.revisit(1) == []
    images.there[URI] = picture("red")
    assert encoder.revisit(2) == [PLAIN]
    assert vectors(encoder, PLAIN) == [near(RED_SHOE)]
    assert encoder.revisit(3) == []
    assert images.counts == {"read": 1}


@pytest.mark.parametrize("outcome", ["missing", "refused", "invalid"])
def test_a_failed_image_is_tried_five_times_at_growing_distances(
    encoder: BundledEncoder, images: Images, outcome: str
) -> None:
    images.there[URI] = outcome
    assert vectors(encoder, PLAIN) == [SHOE]
    tried: list[int] = []
    for now in range(5000):
        before = len(images.asked)
        assert encoder.revisit(now) == []
        tried += [now] * (len(images.asked) - before)
    assert tried == [60, 181, 422, 903, 1864]
    assert images.counts == {outcome: 6}


def test_a_failed_image_that_comes_back_is_used(encoder: BundledEncoder, images: Images) -> None:
    images.there[URI] = "missing"
    encoder.encode([PLAIN])
    images.there[URI] = picture("red")
    assert [encoder.revisit(now) for now in (0, 59)] == [[], []]
    assert encoder.revisit(60) == [PLAIN]
    assert vectors(encoder, PLAIN) == [near(RED_SHOE)]


def test_bytes_that_are_no_image_are_counted_and_left_out(encoder: BundledEncoder, images: Images) -> None:
    images.there |= {URI: b"<html>", "https://shop.example/b.png": picture("red")}
    other = Product(id="b", title="shoe", image="https://shop.example/b.png")
    assert vectors(encoder, PLAIN, other) == [SHOE, near(RED_SHOE)]
    assert images.counts == {"read": 2, "invalid": 1}
    encoder.revisit(0)
    assert encoder.revisit(60) == [PLAIN]
    assert vectors(encoder, PLAIN) == [SHOE]
    assert [encoder.revisit(now) for now in (61, 180)] == [[], []]
    assert encoder.revisit(181) == [PLAIN]


@pytest.mark.parametrize("uri", ["http://shop.example/a.png", "data:nothing", "data:,html"])
def test_what_the_uri_itself_forbids_is_not_tried_again(encoder: BundledEncoder, images: Images, uri: str) -> None:
    assert vectors(encoder, Product(id="a", title="shoe", image=uri)) == [SHOE]
    counts = dict(images.counts)
    for now in range(0, 4000, 10):
        assert encoder.revisit(now) == []
    assert images.counts == counts


def test_the_newest_state_of_a_product_counts(encoder: BundledEncoder, images: Images) -> None:
    newer = Product(id="a", title="desk", image=URI)
    encoder.encode([PLAIN])
    encoder.encode([newer])
    encoder.encode([Product(id="b", title="shoe", image=URI)])
    encoder.encode([Product(id="b", title="shoe")])
    images.there[URI] = picture("red")
    assert encoder.revisit(0) == [newer]


def test_products_with_nothing_else_are_waited_for_together(encoder: BundledEncoder, images: Images) -> None:
    uris = [f"https://shop.example/{n}.png" for n in range(3)]
    images.late = {uri: picture("red") for uri in uris}
    products = [Product(id=uri, image=uri) for uri in uris]
    assert vectors(encoder, *products) == [RED] * 3
    assert images.waits == [bundled.WAIT_SECONDS]


@pytest.mark.parametrize("found", [None, "missing", b"<html>"])
def test_products_with_nothing_else_fail_alone(
    encoder: BundledEncoder, images: Images, found: bytes | str | None
) -> None:
    if found is not None:
        images.there[URI] = found
    for _ in range(2):
        with pytest.raises(EncoderFailed, match=r"image of product 'a' cannot be had .*send a title"):
            encoder.encode([BARE])
    assert encoder.revisit(0) == []
    assert vectors(encoder, Product(id="a", title="shoe")) == [SHOE]


def test_few_images_are_fetched_at_a_time(
    encoder: BundledEncoder, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "WINDOW", 2)
    monkeypatch.setattr(bundled, "OFFER", 1)
    products = [Product(id=f"{n}", title="shoe", image=f"https://shop.example/{n}.png") for n in range(4)]
    for product in products:
        encoder.encode([product])
    assert images.asked == [products[0].image, products[1].image]
    images.there = {str(product.image): picture("red") for product in products}
    assert [encoder.revisit(now) for now in range(5)] == [[product] for product in products] + [[]]


def test_the_list_of_those_that_wait_is_bounded(
    encoder: BundledEncoder, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LIMIT", 2)
    encoder.encode([Product(id=id, title="shoe", image=URI) for id in "abc"])
    images.there[URI] = picture("red")
    assert [product.id for product in encoder.revisit(0)] == ["a", "b"]


def test_questions_with_images_need_no_loader(encoder: BundledEncoder) -> None:
    assert encoder.encode_query(None, picture("red")).round(4).tolist() == [RED]


def test_a_model_of_texts_reads_no_images(tmp_path: Path, images: Images) -> None:
    encoder = BundledEncoder.load(write_bundle(tmp_path / "texts", images=False), "cpu", images)
    inline = Product(id="b", title="shoe", image="data:,html")
    assert vectors(encoder, PLAIN, inline) == [SHOE, SHOE]
    assert encoder.revisit(0) == []
    assert (images.asked, images.counts) == ([], {})
    assert "shoe" not in str(encoder.refusal(BARE))
    assert GivenVectors(3).revisit(0) == ()


class Shop:
    """The loop in memory, around the tiny model."""

    def __init__(self, encoder: BundledEncoder) -> None:
        self.now = 1000.0
        self.log = MemoryLog()
        self.store = MemoryStore("g1")
        self.metrics = Metrics("tiny", "exact", "cpu")
        catalogue = Catalogue()
        graph = NeighbourGraph(ExactIndex(DIM), DIM, 1, 2, catalogue.id_of)
        pipeline = Pipeline(encoder, graph, catalogue, frozenset({"promo"}), self.metrics.stage)
        auditor = Auditor(graph, catalogue, self.metrics.list_recall, pipeline.lock, 0.02)
        source = MemorySource(self.log)
        self.leadership = Leadership(self.store.lead, self.store.resign, "me", lambda: self.now)
        self.loop = Loop(
            Ends(source, self.store, self.leadership, Generation(name="g1", model="tiny", dim=DIM, k=1)),
            pipeline,
            catalogue,
            self.metrics,
            Chores([auditor.turn]),
            100,
            lambda: self.now,
        )
        topic = source.topic()
        catch_up(self.loop, choose(None, 0, topic, self.now, forced=False), topic, {})
        self.step()

    def step(self) -> None:
        self.leadership.beat()
        self.loop.step()

    def send(self, id: str, **fields: Any) -> None:
        self.log.append(id.encode(), json.dumps({"id": id, **fields}).encode(), timestamp=self.now)

    def value(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(name) or 0.0


@pytest.fixture
def shop(encoder: BundledEncoder, images: Images) -> Shop:
    images.there["https://shop.example/r.png"] = picture("red")
    shop = Shop(encoder)
    shop.send("red", image="https://shop.example/r.png")
    shop.send("shoe", title="shoe")
    shop.send("a", title="shoe", image=URI, attributes={"promo": "yes"}, price=3)
    shop.step()
    return shop


def test_an_image_that_comes_late_changes_the_lists(shop: Shop, images: Images) -> None:
    assert shop.store.lists["red"][0][1] == pytest.approx(0)
    assert shop.store.lists["a"] == [("shoe", pytest.approx(1))]
    cards, freshness = dict(shop.store.cards), shop.value("kinstream_freshness_seconds_count")
    images.there[URI] = picture("red")
    shop.now += 30
    shop.step()
    assert shop.store.lists["red"] == [("a", pytest.approx(0.5**0.5))]
    assert shop.store.lists["a"][0][1] == pytest.approx(0.5**0.5)
    assert shop.store.cards == cards
    assert shop.value("kinstream_freshness_seconds_count") == freshness
    written = shop.value("kinstream_lists_written_total")
    shop.step()
    assert shop.value("kinstream_lists_written_total") == written


def test_late_images_do_not_wait_for_an_idle_moment(shop: Shop, images: Images) -> None:
    images.there[URI] = picture("red")
    for seconds, expected in ((0.5, 0.0), (0.5, 0.5**0.5)):
        shop.now += seconds
        shop.send("shoe", title="shoe", price=shop.now)
        shop.step()
        assert shop.store.lists["red"][0][1] == pytest.approx(expected)


def test_facts_that_changed_meanwhile_stay(shop: Shop, images: Images) -> None:
    shop.send("a", title="shoe", image=URI, attributes={"promo": "no"}, price=4, available=False)
    images.there[URI] = picture("red")
    shop.step()
    shop.step()
    assert shop.store.cards["a"]["price"] == "4"
    assert shop.store.lists["a"][0][1] == pytest.approx(0.5**0.5)
    assert all(id != "a" for names in shop.store.lists.values() for id, _ in names)


def test_products_that_changed_or_went_are_not_placed_again(shop: Shop, images: Images) -> None:
    shop.send("b", title="desk", image=URI)
    shop.step()
    shop.log.append(b"a", None)
    shop.send("b", embedding=SHOE)
    images.there[URI] = picture("red")
    shop.step()
    lists = dict(shop.store.lists)
    shop.step()
    assert shop.store.lists == lists
    assert set(lists) == {"red", "shoe", "b"}
    assert shop.store.lists["b"] == [("shoe", pytest.approx(1))]


def test_an_image_that_cannot_be_had_is_a_dead_letter_only_where_there_is_nothing_else(
    shop: Shop, images: Images
) -> None:
    images.there |= {URI: "missing", "https://shop.example/n.png": b"<html>"}
    shop.send("ok", title="desk", image=URI)
    for id in ("x", "y"):
        shop.send(id, image=URI)
    shop.send("z", image="https://shop.example/n.png")
    shop.step()
    assert sorted(letter.record.key or b"" for letter in shop.log.dead_letters) == [b"x", b"y", b"z"]
    assert {letter.reason for letter in shop.log.dead_letters} == {"EncoderFailed"}
    assert set(shop.store.lists) == {"red", "shoe", "a", "ok"}
