"""The network in a file: weights, and the architecture that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import torch

from model.errors import ModelError
from model.network import NetworkConfig, ProductEncoder

FORMAT = 1


class CheckpointError(ModelError):
    """A checkpoint that cannot be used; one line that names both sides and the remedy."""


def packed(network: ProductEncoder) -> dict[str, Any]:
    """What a file must hold for the network to be made again; a trainer may keep it beside its own state."""
    architecture = msgspec.json.encode(network.config).decode()
    return {"format": FORMAT, "architecture": architecture, "weights": network.state_dict()}


def unpacked(content: Any, where: Path) -> ProductEncoder:
    """The network of what ``packed`` gave, in evaluation mode.

    Raises:
        CheckpointError: the content is not that, or of another version.
    """
    network = ProductEncoder(_architecture(content, where))
    network.load_state_dict(content["weights"])
    return network.eval()


def restore(network: ProductEncoder, content: Any, where: Path) -> None:
    """Put packed weights into a network of the same architecture.

    Raises:
        CheckpointError: the architecture is another one, or the content is no checkpoint.
    """
    stored = _architecture(content, where)
    if differences := _differences(msgspec.to_builtins(stored), msgspec.to_builtins(network.config)):
        raise CheckpointError(
            f"{where} holds another architecture: {'; '.join(differences)}; go on with its own configuration, or start anew "
            "in another folder"
        )
    network.load_state_dict(content["weights"])


def save(network: ProductEncoder, file: Path) -> None:
    """Write the network; a crash leaves the file of before."""
    scratch = file.with_name(file.name + ".part")
    torch.save(packed(network), scratch)
    scratch.replace(file)


def load(file: Path) -> ProductEncoder:
    """Read a network, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    return unpacked(read(file), file)


def read(file: Path) -> Any:
    """What a file of torch holds, on the CPU; nothing in it is run.

    Raises:
        CheckpointError: there is none, or it cannot be read.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{file} is missing: name the checkpoint of a training") from None
    except Exception as error:  # on damaged files torch raises nearly anything
        raise CheckpointError(
            f"{file} cannot be read as a checkpoint ({str(error)[:200]}): take an older one"
        ) from error


def _architecture(content: Any, where: Path) -> NetworkConfig:
    stored = content.get("format") if isinstance(content, dict) else None
    if stored != FORMAT:
        raise CheckpointError(f"{where} has checkpoint format {stored}, this version reads {FORMAT}: train it again")
    return msgspec.json.decode(content["architecture"], type=NetworkConfig)


def _differences(stored: Any, here: Any, name: str = "") -> list[str]:
    """Each setting that differs, with both values; equal ones are left out."""
    if isinstance(stored, dict) and isinstance(here, dict):
        names = sorted({*stored, *here})
        return [
            line for key in names for line in _differences(stored.get(key), here.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if stored == here else [f"{name} is {stored!r} there and {here!r} here"]
