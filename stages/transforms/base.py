"""The contract of a transformation: pixels in, pixels out, at the image's own resolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from PIL import Image

from stages.io.images.pixels import has_alpha, peak_of
from stages.io.images.spill import Pixels


class Transform(Protocol):
    """Changes one image; the same pixels and key always give the same result, wherever the sample stands."""

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """An array of the same type, H×W×C (C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA); alpha stays."""


def on_colours(pixels_HWC: Pixels, change: Callable[[np.ndarray], np.ndarray]) -> Pixels:
    """An image whose colours went through `change` in 8 bits, as codecs and filters take them; alpha stays.

    Args:
        pixels_HWC: any image.
        change: from H×W×1 or H×W×3 uint8 to the same shape, of any number type, in 0..255.
    """
    alpha, scale = has_alpha(pixels_HWC), peak_of(pixels_HWC) // 255
    colours_HWC = pixels_HWC[:, :, :-1] if alpha else pixels_HWC
    found = np.asarray(change((colours_HWC // scale).astype(np.uint8)), dtype=np.float64).reshape(colours_HWC.shape)
    changed: Pixels = (np.rint(np.clip(found, 0, 255)) * scale).astype(pixels_HWC.dtype)
    return np.concatenate([changed, pixels_HWC[:, :, -1:]], axis=2) if alpha else changed


def as_picture(colours_HWC: np.ndarray) -> Image.Image:
    """H×W×1 or H×W×3 uint8 for Pillow."""
    return Image.fromarray(colours_HWC[:, :, 0] if colours_HWC.shape[2] == 1 else colours_HWC)
