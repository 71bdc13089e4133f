"""The errors of this package. Each message is one line that names both sides and the remedy."""

from __future__ import annotations


class ModelError(Exception):
    """Base of everything that this package raises on purpose."""


class BundleError(ModelError):
    """A model bundle is damaged, incomplete or does not do what its manifest says."""


class DeviceUnavailable(ModelError):
    """The device that was asked for cannot run the model."""


class EncodeError(ModelError):
    """The encoder was given nothing to encode, failed to run, or returned something that is not a vector."""


class ImageInvalid(ModelError):
    """Bytes that are no usable image; ``row`` says which of the images given, when there were several."""

    def __init__(self, message: str, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row
