"""Image bytes to the numbers that an encoder takes."""

from __future__ import annotations

import warnings
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model.bundle import ImageSpec

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")
MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000
"""Larger images are refused: a small file can unpack to gigabytes."""


class ImageInvalid(ValueError):
    """Bytes that are no image, or one that is refused; says why."""


def pixels(data: bytes, spec: ImageSpec) -> NDArray[np.float32]:
    """Decode and normalise an image.

    Returns:
        float32 [3, height, width].

    Raises:
        ImageInvalid: not an image, damaged, or too large.
    """
    picture = _opened(data)
    fitted = ImageOps.fit(picture, (spec.width, spec.height), Image.Resampling.BICUBIC)
    values = np.asarray(fitted, np.float32) / np.float32(255)
    normalised = (values - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1))


def _opened(data: bytes) -> Image.Image:
    if len(data) > MAX_BYTES:
        raise ImageInvalid(f"image has {len(data)} bytes, at most {MAX_BYTES} are allowed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(BytesIO(data), formats=FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            raise ImageInvalid(f"image has {picture.width} x {picture.height} pixels, at most {MAX_PIXELS} are allowed")
        return _opaque(ImageOps.exif_transpose(picture))
    except ImageInvalid:
        raise
    except Exception as error:  # on damaged bytes the decoders raise nearly anything
        raise ImageInvalid(f"not a readable image ({', '.join(FORMATS)}): {error}") from error


def _opaque(picture: Image.Image) -> Image.Image:
    """RGB, on white where it is transparent: what lies under transparent pixels is never seen."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
