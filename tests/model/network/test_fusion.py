from __future__ import annotations

import torch

from model.fusion import ConcatFusion, FusionConfig, GatedFusion, ModalityDropout, fusion

ONE, ZERO = torch.ones(4, 1), torch.zeros(4, 1)


def test_concat_has_the_textbook_shape() -> None:
    made = fusion(FusionConfig(kind="concat", hidden=512), 768, 2048, 512)
    assert isinstance(made, ConcatFusion)
    shapes = [tuple(weight.shape) for name, weight in made.head.named_parameters() if name.endswith("weight")]
    assert shapes == [(512, 768 + 2048), (512, 512)]


def test_stand_ins_for_what_is_missing_are_learned() -> None:
    for kind in (ConcatFusion(3, 5, 4, 6), GatedFusion(3, 5, 4)):
        text, image = torch.randn(4, 3), torch.randn(4, 5)
        kind(text, image, ZERO, ONE).sum().backward()
        assert kind.no_text.grad is not None
        assert kind.no_image.grad is not None
        assert kind.no_text.grad.abs().sum() > 0
        assert kind.no_image.grad.abs().sum() == 0


def test_the_gate_starts_as_the_mean_and_can_choose() -> None:
    made = GatedFusion(3, 5, 4)
    text, image = torch.randn(4, 3), torch.randn(4, 5)
    words = torch.nn.functional.normalize(made.text(text))
    look = torch.nn.functional.normalize(made.image(image))
    assert torch.allclose(made(text, image, ONE, ONE), (words + look) / 2, atol=1e-6)
    with torch.no_grad():
        made.gate.bias.fill_(50)
    assert torch.allclose(made(text, image, ONE, ONE), words, atol=1e-6)


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
