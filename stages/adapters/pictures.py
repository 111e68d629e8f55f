"""The picture of a sample as an import stores it: cropped and resized without loss, or its own bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from schemas.errors import SampleError
from schemas.model import Model
from stages.io.images.formats import image_extension
from stages.io.images.spill import Pixels

ORIENTATION = 274
"""EXIF's tag of it."""

TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}
"""Value of the tag → the pixels as they are to be seen."""

MAX_PIXELS = 64 * 2**20
"""Largest H·W that is decoded, in pixels: as `dataset.max_pixels`."""


def encoded(pixels: Pixels, format_name: str, **options: Any) -> bytes:
    """A picture's file by Pillow: H×W or H×W×3 uint8; `options` are those of the format."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format_name, **options)
    return file.getvalue()


def upright(stored: Stored, data: bytes) -> tuple[str, bytes]:
    """The image member, turned as its EXIF orientation asks for; cameras store pictures lying on their side.

    What is published has no EXIF, so nobody could turn it later. A turned picture becomes a PNG.

    Raises:
        SampleError: as `Stored.member`.
    """
    from stages.io.images.decoding import decode_image
    from stages.io.images.encoding import encode_image

    decoded = decode_image(data, max_pixels=MAX_PIXELS)
    if not decoded.rotated:
        return stored.member(data)
    with Image.open(io.BytesIO(data)) as image:
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    turned = decoded.pixels if turn is None else turn(decoded.pixels)
    return "png", encode_image(turned if stored.original else stored.square(turned), "png")


class Stored(Model):
    """How pictures are stored."""

    original: bool = False
    """Keep the pictures' own bytes: no crop, no resize."""
    size: int = Field(ge=16)
    """Side of the square that is stored, in pixels."""
    crop: int | None = Field(default=None, ge=16)
    """Side of the square that is cut out of the middle before resizing, in pixels; None: the largest one."""
    gray: bool = False
    """One channel, whatever the file has."""

    def member(self, data: bytes) -> tuple[str, bytes]:
        """Field and bytes of the image member: a PNG, or the file's own ending and bytes with `original`.

        Raises:
            SampleError: the picture cannot be decoded (`corrupt-image`, …), or is smaller than `crop`
                (`image-too-small`).
        """
        # OpenCV takes long to load, and `mtlue import --help` reads this file.
        from stages.io.images.decoding import decode_image
        from stages.io.images.encoding import encode_image

        decoded = decode_image(data, max_pixels=MAX_PIXELS)
        if self.original:
            return image_extension(data) or "", data
        return "png", encode_image(self.square(decoded.pixels), "png")

    def square(self, pixels_HWC: Pixels) -> Pixels:
        """Cut the middle out of a picture and resize it (bilinear, antialiased).

        Args:
            pixels_HWC: H×W×C uint8 or uint16, C = 1..4; alpha is left out.

        Returns:
            size×size×1 or size×size×3, uint8.
        """
        height, width, channels = pixels_HWC.shape
        side = self.crop or min(height, width)
        if side > min(height, width):
            raise SampleError(
                "image-too-small",
                f"it has {width}×{height} pixels, the crop takes {side}×{side}; give a smaller --crop",
            )
        top, left = (height - side) // 2, (width - side) // 2
        colours = channels - 1 if channels in (2, 4) else channels
        cut = pixels_HWC[top : top + side, left : left + side, :colours]
        eight = cut if cut.dtype == np.uint8 else (cut // 257).astype(np.uint8)
        image = Image.fromarray(eight[..., 0] if colours == 1 else eight)
        if self.gray:
            image = image.convert("L")
        if self.size != side:
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, np.uint8)
        return pixels if pixels.ndim == 3 else pixels[..., None]
