"""The precision of matrix products in a training: half of it where the device computes in that, not where it imitates it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]
Wanted: TypeAlias = Literal["auto", "fp32", "bf16", "fp16"]

CAPABILITIES = {"bf16": ("avx512_bf16", "amx_bf16", "bf16"), "fp16": ("avx512_fp16", "amx_fp16", "fp16_arith")}
"""Of a CPU, as torch calls them on x86 and on ARM: any of them is enough."""


def precision_on(device: torch.device, wanted: Wanted) -> Precision:
    """What is meant on a device: ``auto`` is half precision where that is faster, and ``fp32`` where not."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if computes(device, "bf16") else "fp32"


def computes(device: torch.device, precision: Precision) -> bool:
    """Whether a device computes in a precision; a CPU that does not imitates it, many times slower than ``fp32``."""
    if precision == "fp32" or device.type != "cpu":
        return True
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in CAPABILITIES[precision])


def remark(device: torch.device, wanted: Wanted) -> str:
    """What somebody who waits for a training should know of its precision; empty if nothing."""
    if not computes(device, precision_on(device, wanted)):
        return f"precision={wanted} is not what this CPU computes in, so steps are slow: set precision=auto"
    if wanted == "auto" and precision_on(device, wanted) == "fp32":
        return "precision=auto is fp32 here: this CPU does not compute in bf16, with which steps are faster"
    return ""
