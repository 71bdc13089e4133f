"""The encoder on tiny graphs: what it computes, in any batch, and what it refuses."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image

from model import runtime
from model.bundle import BundleError
from model.images import ImageInvalid
from model.runtime import OnnxEncoder
from producer.events import Product

MakeBundle = Callable[..., Path]
TEXTS = [" ".join(f"w{(row * 7 + i) % 40}" for i in range(row % 11)) for row in range(150)]


def picture(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 6), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def encoder(make_bundle: MakeBundle) -> OnnxEncoder:
    return OnnxEncoder.load(make_bundle(), "cpu", threads=1)


@pytest.fixture
def seeing(make_bundle: MakeBundle) -> OnnxEncoder:
    return OnnxEncoder.load(make_bundle(images=True), "cpu", threads=1)


def test_what_it_says_of_itself(encoder: OnnxEncoder, seeing: OnnxEncoder) -> None:
    assert (encoder.name, encoder.dim, encoder.provider) == ("tiny", 8, "CPUExecutionProvider")
    assert (encoder.wants_images, seeing.wants_images) == (False, True)


def test_vectors_are_normalised_float32(encoder: OnnxEncoder) -> None:
    vectors = encoder.encode_texts(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 8)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_nothing_in_nothing_out(encoder: OnnxEncoder) -> None:
    assert encoder.encode_texts([]).shape == (0, 8)
    assert encoder.encode([]).shape == (0, 8)


def test_a_product_is_its_text(encoder: OnnxEncoder) -> None:
    product = Product(id="1", title="red shoe", brand="w1")
    assert np.array_equal(encoder.encode([product]), encoder.encode_texts(["red shoe | w1"]))


def test_a_vector_does_not_depend_on_its_batch_or_place(encoder: OnnxEncoder) -> None:
    alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    order = list(range(len(TEXTS)))
    for seed in range(3):
        random.Random(seed).shuffle(order)
        assert np.abs(encoder.encode_texts([TEXTS[row] for row in order]) - alone[order]).max() < 1e-5


def test_runs_stay_within_their_limits(encoder: OnnxEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "MAX_BATCH", 5)
    monkeypatch.setattr(runtime, "MAX_PADDED_TOKENS", 30)
    run = encoder._run
    sizes: list[tuple[int, int]] = []

    def counted(examples: list[runtime.Example]) -> runtime.Vectors:
        sizes.append((len(examples), max(len(example.ids) for example in examples)))
        return run(examples)

    monkeypatch.setattr(encoder, "_run", counted)
    encoder.encode_texts(TEXTS)
    assert sum(rows for rows, _ in sizes) == len(TEXTS)
    assert max(rows for rows, _ in sizes) == 5
    assert max(rows * longest for rows, longest in sizes) <= 30


def test_text_is_cut_at_max_tokens(encoder: OnnxEncoder) -> None:
    kept = " ".join(["w5"] * 10)
    assert np.array_equal(encoder.encode_texts([kept + " red red"]), encoder.encode_texts([kept]))
    assert not np.allclose(encoder.encode_texts([kept[:-3] + " red"]), encoder.encode_texts([kept]))


def test_a_huge_text_is_cut_before_it_is_tokenised(encoder: OnnxEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "CHARACTERS_A_TOKEN", 1)
    assert np.array_equal(encoder.encode_texts(["w5 w6 w7 w8 w9"]), encoder.encode_texts(["w5 w6 w7 w8"]))


def test_threads_may_share_an_encoder(encoder: OnnxEncoder) -> None:
    expected = encoder.encode_texts(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(lambda _: encoder.encode_texts(TEXTS), range(12)):
            assert np.array_equal(vectors, expected)


def test_text_image_and_both_differ_and_absence_is_masked(seeing: OnnxEncoder) -> None:
    titled, bare = Product(id="1", title="desk"), Product(id="2", image="https://example.org/2.png")
    vectors = seeing.encode([titled, bare, titled, titled], [None, picture("red"), picture("red"), picture("blue")])
    assert np.abs(vectors[:, None] - vectors[None]).max(axis=2)[np.triu_indices(4, 1)].min() > 0.01
    assert np.allclose(vectors[0], seeing.encode_texts(["desk"])[0], atol=1e-6)
    assert np.allclose(vectors[1], seeing.encode_query(None, picture("red"))[0], atol=1e-6)
    assert np.allclose(vectors[2], seeing.encode_query("desk", picture("red"))[0], atol=1e-6)


def test_refusals(encoder: OnnxEncoder, seeing: OnnxEncoder) -> None:
    bare, pictured = Product(id="1", price=3.0), Product(id="1", image="https://example.org/1.png")
    assert encoder.refusal(Product(id="1", brand="w1")) is None
    assert "reads text" in str(encoder.refusal(pictured))
    assert seeing.refusal(pictured) is None
    assert "reads text and images" in str(seeing.refusal(bare))


def test_nothing_to_encode_is_an_error_not_a_vector(encoder: OnnxEncoder, seeing: OnnxEncoder) -> None:
    pictured = Product(id="x7", image="https://example.org/1.png")
    for one, images in ((encoder, None), (encoder, [picture("red")]), (seeing, None), (seeing, [None])):
        with pytest.raises(ValueError, match="'x7' has nothing that model tiny reads"):
            one.encode([pictured], images)


def test_images_must_match_the_products(seeing: OnnxEncoder) -> None:
    with pytest.raises(ValueError, match="shorter"):
        seeing.encode([Product(id="1", title="desk"), Product(id="2", title="desk")], [None])


def test_a_bad_image_is_told(seeing: OnnxEncoder) -> None:
    with pytest.raises(ImageInvalid, match="not a readable image"):
        seeing.encode([Product(id="1", title="desk")], [b"no image"])


def test_an_image_query_needs_a_model_that_sees(encoder: OnnxEncoder) -> None:
    with pytest.raises(ValueError, match="reads no images"):
        encoder.encode_query("desk", picture("red"))


def test_a_broken_vector_never_gets_out(seeing: OnnxEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    for broken in (0.0, np.nan, np.inf):
        monkeypatch.setattr(seeing, "_run", lambda rows, value=broken: np.full((len(rows), 8), value, np.float32))
        with pytest.raises(ArithmeticError, match="zero or not finite"):
            seeing.encode_texts(["desk"])


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="CUDA is installed here")
def test_cuda_is_never_replaced_in_silence(make_bundle: MakeBundle) -> None:
    folder = make_bundle()
    with pytest.raises(BundleError, match=r"cuda, but ONNX Runtime runs on CPUExecutionProvider: .*auto"):
        OnnxEncoder.load(folder, "cuda")
    assert OnnxEncoder.load(folder, "auto").provider == "CPUExecutionProvider"


def test_auto_says_when_it_falls_back(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = ort.InferenceSession

    def broken_driver(path: str, options: ort.SessionOptions, providers: list[str]) -> ort.InferenceSession:
        assert providers == ["CUDAExecutionProvider", "CPUExecutionProvider"]
        return real(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(ort, "InferenceSession", broken_driver)
    assert OnnxEncoder.load(make_bundle(), "auto").provider == "CPUExecutionProvider"
    assert "encoding on CPUExecutionProvider" in caplog.text
