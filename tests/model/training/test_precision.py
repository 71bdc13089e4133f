"""Half precision is taken where the device computes in it, and what it costs elsewhere is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from model.network import ProductEncoder
from model.training.config import recipe, recipes
from model.training.precision import Wanted, precision_on, remark
from model.training.running import train

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
OLD = {"architecture": "x86_64", "avx2": True, "avx512_bf16": False, "amx_bf16": False}


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the CPU is said to have, to be changed."""
    found = dict(OLD)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    return found


@pytest.mark.parametrize("has", ["avx512_bf16", "amx_bf16", "bf16"])
def test_auto_is_bf16_on_a_cpu_that_computes_in_it(cpu: dict[str, Any], has: str) -> None:
    assert precision_on(CPU, "auto") == "fp32"
    cpu[has] = True
    assert precision_on(CPU, "auto") == "bf16"
    assert remark(CPU, "auto") == ""


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "fp16")])
def test_auto_is_half_precision_on_every_gpu(monkeypatch: pytest.MonkeyPatch, native: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert precision_on(CUDA, "auto") == expected
    assert remark(CUDA, "auto") == ""


@pytest.mark.parametrize("wanted", ["fp32", "bf16", "fp16"])
def test_what_is_asked_for_by_name_is_done(cpu: dict[str, Any], wanted: Wanted) -> None:
    assert precision_on(CPU, wanted) == wanted
    assert ("set precision=auto" in remark(CPU, wanted)) == (wanted != "fp32")


def test_no_recipe_asks_a_cpu_for_what_it_would_imitate(cpu: dict[str, Any]) -> None:
    assert {precision_on(CPU, recipe(name, {}).precision) for name in recipes()} == {"fp32"}


@pytest.mark.parametrize("quiet", [False, True])
def test_a_training_says_so_unless_it_is_quiet(
    cpu: dict[str, Any], config_of: Any, shop: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], quiet: bool
) -> None:
    train(config_of(precision="auto", steps=2), shop, tmp_path / "run", tmp_path, "cpu", quiet=quiet)
    said = " ".join(capfd.readouterr().err.split())
    assert said == "" if quiet else "precision=auto is fp32 here" in said


def test_a_training_computes_in_its_precision(
    cpu: dict[str, Any], config_of: Any, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounded: list[torch.dtype] = []
    real = ProductEncoder.forward

    def forward(network: ProductEncoder, *given: Any, **named: Any) -> torch.Tensor:
        if network.training and torch.is_autocast_enabled("cpu"):
            rounded.append(torch.get_autocast_dtype("cpu"))
        return real(network, *given, **named)

    monkeypatch.setattr(ProductEncoder, "forward", forward)
    train(config_of(precision="auto", steps=2), shop, tmp_path / "exact", tmp_path, "cpu", quiet=True)
    assert rounded == []
    cpu["avx512_bf16"] = True
    train(config_of(precision="auto", steps=2), shop, tmp_path / "half", tmp_path, "cpu", quiet=True)
    assert set(rounded) == {torch.bfloat16}
