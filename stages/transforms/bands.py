"""Removal of a band of frequencies: what lies in a ring of the image's spectrum is taken out.

Low-pass attacks are what the newest protections are tried against (FUSE, ICML 2026, trains with bands removed at
random); a high-pass asks whether the shortcut lies in coarse shades.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.io.images.spill import Pixels
from stages.transforms.base import on_colours


@dataclass(frozen=True)
class Band:
    """Frequencies from `low` to `high` are removed; the mean of the image always stays."""

    low: float
    """Share of the largest frequency along an axis (1 = two pixels a wave); corners reach 1.41."""
    high: float

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image without the band."""
        return on_colours(pixels_HWC, self._without)

    def _without(self, colours_HWC: np.ndarray) -> np.ndarray:
        height, width = colours_HWC.shape[:2]
        radius_HW = 2 * np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
        kept_HW = (radius_HW < self.low) | (radius_HW >= self.high) | (radius_HW == 0)
        spectrum = np.fft.rfft2(colours_HWC.astype(np.float64), axes=(0, 1)) * kept_HW[:, :, None]
        filtered: np.ndarray = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
        return filtered
