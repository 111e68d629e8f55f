"""Lossy compression: JPEG and WebP at a quality, as a content delivery network or an attacker does it.

JPEG is the standard squeeze of shortcuts (Liu, Zhao, Larson, ICML 2023, "Image Shortcut Squeezing"; quality 10 there):
4:2:0 chroma and coarse tables for high frequencies take out what the eye does not miss.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from stages.io.images.spill import Pixels
from stages.transforms.base import as_picture, on_colours


@dataclass(frozen=True)
class Lossy:
    """Encoded and decoded again, with Pillow's tables and subsampling."""

    codec: Literal["JPEG", "WEBP"]
    quality: int
    """1..95, as libjpeg and libwebp count it."""

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image as it comes back from the file."""
        return on_colours(pixels_HWC, self._again)

    def _again(self, colours_HWC: np.ndarray) -> np.ndarray:
        picture, file = as_picture(colours_HWC), io.BytesIO()
        picture.save(file, self.codec, quality=self.quality)
        with Image.open(file) as decoded:
            return np.asarray(decoded.convert(picture.mode))
