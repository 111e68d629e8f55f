"""Down and up again: the image is made smaller, bilinear with antialiasing, and brought back to its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL.Image import Resampling

from stages.io.images.spill import Pixels
from stages.transforms.base import as_picture, on_colours


@dataclass(frozen=True)
class DownUp:
    """Frequencies above `share` of what the image can hold are lost; its size stays."""

    share: float = 0.5

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """The image after both resizes."""
        return on_colours(pixels_HWC, self._again)

    def _again(self, colours_HWC: np.ndarray) -> np.ndarray:
        picture = as_picture(colours_HWC)
        small = picture.resize([max(1, round(side * self.share)) for side in picture.size], Resampling.BILINEAR)
        return np.asarray(small.resize(picture.size, Resampling.BILINEAR))
