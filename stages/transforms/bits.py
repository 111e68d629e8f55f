"""Fewer bits a colour value: differences below a level vanish, or become a whole one.

A squeeze of the ISS benchmark (Liu, Zhao, Larson, 2023; 2 bits there) and of feature squeezing (Xu et al., 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.io.images.spill import Pixels
from stages.transforms.base import on_colours


@dataclass(frozen=True)
class Bits:
    """Each value goes to the nearest of 2^bits levels that are spread evenly over 0..255."""

    bits: int

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image in fewer levels."""
        top = 2**self.bits - 1
        return on_colours(pixels_HWC, lambda colours_HWC: np.rint(colours_HWC / 255.0 * top) * (255.0 / top))
