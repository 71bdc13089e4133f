"""Image bytes to the model's pixels. Training and serving both use this, so that they see the same."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from model.errors import ImageInvalid
from model.manifest import ImageSpec

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")


def image_pixels(data: bytes, spec: ImageSpec) -> NDArray[np.float32]:
    """An encoded image as float32 [3, height, width], resized, centre-cropped and scaled as the spec says.

    Raises:
        ImageInvalid: not a readable image of a known format, or above MAX_BYTES or MAX_PIXELS.
    """
    image = _cropped(_decoded(data), spec)
    scaled = (np.asarray(image, np.float32) * spec.scale - spec.mean) / spec.std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


def _decoded(data: bytes) -> Image.Image:
    if len(data) > MAX_BYTES:
        raise ImageInvalid(f"the image has {len(data)} bytes, at most {MAX_BYTES} are read: send a smaller one")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_pixels(image)
            return _opaque(ImageOps.exif_transpose(image))
    except ImageInvalid:
        raise
    except Exception as error:  # on hostile bytes the decoders raise nearly anything
        expected = ", ".join(FORMATS)
        raise ImageInvalid(f"the image cannot be read ({error}): send a sound {expected} file") from error


def _check_pixels(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageInvalid(
            f"the image has {width} x {height} pixels, at most {MAX_PIXELS} in all are read: send a smaller one"
        )


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _cropped(image: Image.Image, spec: ImageSpec) -> Image.Image:
    """Scale the shortest side and keep the middle, in one step, so that a long strip never grows large."""
    ratio = spec.shortest_side / min(image.size)
    width, height = min(image.width, spec.width / ratio), min(image.height, spec.height / ratio)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, left + width, top + height)
    return image.resize((spec.width, spec.height), Image.Resampling.BILINEAR, box)
