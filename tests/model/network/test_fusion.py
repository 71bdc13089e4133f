from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from model.fusion import ConcatFusion, FusionConfig, GatedFusion, ImageSwap, ModalityDropout, fusion

ONE, ZERO = torch.ones(4, 1), torch.zeros(4, 1)


def test_concat_has_the_textbook_shape() -> None:
    made = fusion(FusionConfig(kind="concat", hidden=512), 768, 2048, 512)
    assert isinstance(made, ConcatFusion)
    shapes = [tuple(weight.shape) for name, weight in made.head.named_parameters() if name.endswith("weight")]
    assert shapes == [(512, 768 + 2048), (512, 512)]


def test_stand_ins_for_what_is_missing_are_learned() -> None:
    for kind in (ConcatFusion(3, 5, 4, 6), GatedFusion(3, 5, 4, 6)):
        text, image = torch.randn(4, 3), torch.randn(4, 5)
        kind(text, image, ZERO, ONE).sum().backward()
        assert kind.no_text.grad is not None
        assert kind.no_image.grad is not None
        assert kind.no_text.grad.abs().sum() > 0
        assert kind.no_image.grad.abs().sum() == 0


def parts(made: GatedFusion, text: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """The unit projections of both."""
    words, look = made.text(made.text_norm(text)), made.image(made.image_norm(image))
    return normalize(words), normalize(look)


def test_the_gate_starts_as_the_sum_where_what_is_missing_adds_nothing() -> None:
    made = GatedFusion(3, 5, 4, 6)
    text, image = torch.randn(4, 3), torch.randn(4, 5)
    words, look = parts(made, text, image)
    assert torch.allclose(made(text, image, ONE, ONE), words + look, atol=1e-6)
    assert torch.allclose(made(text, image, ZERO, ONE), look, atol=1e-6)
    assert torch.allclose(made(text, image, ONE, ZERO), words, atol=1e-6)


def test_the_gate_weighs_each_product_by_what_its_text_and_image_are() -> None:
    made = GatedFusion(3, 5, 4, 6)
    text, image = torch.randn(4, 3), torch.randn(4, 5)
    words, look = parts(made, text, image)
    with torch.no_grad():
        made.gate[2].bias.copy_(torch.tensor([50.0, -50.0]))
    assert torch.allclose(made(text, image, ONE, ONE), 50 * words, atol=1e-4)
    torch.nn.init.normal_(made.gate[2].weight)
    fused = made(text, image, ONE, ONE)
    shares = torch.stack(
        [
            torch.linalg.lstsq(torch.stack(of, 1), row[:, None]).solution[:, 0]
            for *of, row in zip(words, look, fused, strict=True)
        ]
    )
    assert shares[:, 0].std() > 0.1
    assert torch.allclose(shares[:, :1] * words + shares[:, 1:] * look, fused, atol=1e-3)


def test_what_is_missing_changes_nothing_whatever_stands_in_its_place() -> None:
    made = GatedFusion(3, 5, 4, 6)
    torch.nn.init.normal_(made.gate[2].weight)
    text, image, other = torch.randn(4, 3), torch.randn(4, 5), torch.randn(4, 5)
    assert torch.equal(made(text, image, ONE, ZERO), made(text, other, ONE, ZERO))
    assert not torch.equal(made(text, image, ONE, ONE), made(text, other, ONE, ONE))


def test_the_gate_trusts_every_image_alike() -> None:
    """It has seen those of the training too often: what it is told by is the text."""
    made = GatedFusion(3, 5, 4, 6)
    torch.nn.init.normal_(made.gate[2].weight)
    given: list[Tensor] = []
    made.gate.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    text, image, other = torch.randn(4, 3), torch.randn(4, 5), torch.randn(4, 5)
    for looks in (image, other):
        made(text, looks, ONE, ONE)
    assert torch.equal(*given)
    assert not torch.equal(made(text, image, ONE, ONE), made(text, other, ONE, ONE))


def test_images_are_swapped_at_their_rate_and_only_where_both_have_one() -> None:
    torch.manual_seed(0)
    swap = ImageSwap(0.3)
    image = torch.arange(20_000.0)[:, None]
    has_text, has_image = torch.ones(20_000, 1), torch.ones(20_000, 1)
    has_text[:1000], has_image[1000:2000] = 0, 0
    swapped = swap(image, has_text, has_image)
    assert torch.equal(swapped[:2001], image[:2001])
    moved = swapped[2001:] != image[2001:]
    assert torch.equal(swapped[2001:][moved], image[2000:-1][moved])
    assert abs(moved.float().mean().item() - 0.3) < 0.02
    assert torch.equal(swap.eval()(image, has_text, has_image), image)


def test_dropout_hides_either_at_its_rate_and_never_the_only_one() -> None:
    torch.manual_seed(0)
    hide = ModalityDropout(0.4)
    has_text, has_image = torch.ones(20_000, 1), torch.ones(20_000, 1)
    has_text[:1000], has_image[1000:2000] = 0, 0
    text, image = hide(has_text, has_image)
    assert torch.equal(text[:2000], has_text[:2000])
    assert torch.equal(image[:2000], has_image[:2000])
    assert ((text + image) > 0).all()
    for kept in (text, image):
        assert abs(kept[2000:].mean().item() - 0.8) < 0.02
    text, image = hide.eval()(has_text, has_image)
    assert torch.equal(text, has_text)
    assert torch.equal(image, has_image)
