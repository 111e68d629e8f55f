"""Blur: a Gaussian or a median over neighbouring pixels, against perturbations of fine grain.

Both are in the battery of the ISS benchmark (Liu, Zhao, Larson, 2023) and of APBench (Qin et al., 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import ImageFilter

from stages.io.images.spill import Pixels
from stages.transforms.base import as_picture, on_colours


@dataclass(frozen=True)
class Blur:
    """A Gaussian of `radius` pixels standard deviation."""

    radius: float = 1.0

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The blurred image."""
        blur = ImageFilter.GaussianBlur(self.radius)
        return on_colours(pixels_HWC, lambda colours_HWC: np.asarray(as_picture(colours_HWC).filter(blur)))


@dataclass(frozen=True)
class Median:
    """The median of `side`×`side` pixels, each colour by itself."""

    side: int = 3

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image without what stands out of its neighbours."""
        median = ImageFilter.MedianFilter(self.side)
        return on_colours(pixels_HWC, lambda colours_HWC: np.asarray(as_picture(colours_HWC).filter(median)))
