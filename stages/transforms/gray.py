"""Grayscale: every colour value becomes the luma of its pixel.

The cheapest attack on protections whose δ differs between the channels (Liu, Zhao, Larson, 2023, "Image Shortcut
Squeezing"); what is equal in R, G and B survives it whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.io.images.pixels import has_alpha, is_gray
from stages.io.images.spill import Pixels

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B (ITU-R BT.601), as JPEG and every image library have them."""


@dataclass(frozen=True)
class Gray:
    """Luma in all colour channels; a gray image stays as it is."""

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image without its colours, of the same shape."""
        if is_gray(pixels_HWC):
            return pixels_HWC
        colours = slice(0, -1) if has_alpha(pixels_HWC) else slice(None)
        luma_HW = np.rint(pixels_HWC[:, :, :3] @ np.array(LUMA))
        grayed = pixels_HWC.copy()
        grayed[:, :, colours] = luma_HW[:, :, None]
        return grayed
