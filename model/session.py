"""An ONNX Runtime session on the device that was asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import onnxruntime
import structlog

from model.errors import BundleError, DeviceUnavailable

Device = Literal["auto", "cpu", "cuda"]
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
CUDA_REMEDY = (
    "install the gpu requirements in place of onnxruntime, check that nvidia-smi shows a device and that CUDA and cuDNN "
    "are found, or set the device to cpu"
)

log = structlog.get_logger(__name__)


def open_session(path: Path, device: Device, threads: int) -> onnxruntime.InferenceSession:
    """Load a model; ``threads`` 0 means every core that this process may use.

    Raises:
        BundleError: ONNX Runtime cannot read the file.
        DeviceUnavailable: cuda was asked for and the session does not run there.
    """
    available = CUDA in onnxruntime.get_available_providers()
    wanted = [CUDA, CPU] if available and device != "cpu" else [CPU]
    if device == "cuda" and not available:
        raise DeviceUnavailable(f"the device is cuda, but this onnxruntime was built without CUDA: {CUDA_REMEDY}")
    try:
        session = onnxruntime.InferenceSession(path, _options(threads), providers=wanted)
    except Exception as error:  # the library's errors share no other base
        raise BundleError(f"{path} cannot be loaded ({error}): build the bundle again") from error
    _check_device(active_provider(session), wanted[0], device)
    return session


def active_provider(session: onnxruntime.InferenceSession) -> str:
    """What computes the session, which need not be what was asked for."""
    return str(session.get_providers()[0])


def _check_device(active: str, wanted: str, device: Device) -> None:
    if active == wanted:
        return
    if device == "cuda":
        raise DeviceUnavailable(f"the device is cuda, but the session runs on {active}: {CUDA_REMEDY}")
    log.warning("encoder_fell_back", wanted=wanted, active=active, remedy=CUDA_REMEDY)


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = True
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
