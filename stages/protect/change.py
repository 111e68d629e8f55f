"""What protection changed in an image, and whether that is within the bound.

Shapes: H×W×C pixels as stored (C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA).
"""

from __future__ import annotations

import cv2
import numpy as np

from schemas.errors import SampleError
from stages.io.images.pixels import bound_of, has_alpha, peak_of, strips
from stages.io.images.spill import KeptPixels, Pixels


class Change:
    """What protection changed in one image, over strips that are shown one after the other.

    Args:
        key: the sample, for messages.
        clean_HWC: the image as it was; only its layout matters.
        epsilon: ε in [0, 1] units.
    """

    def __init__(self, key: str, clean_HWC: Pixels, epsilon: float) -> None:
        self.key, self.colours = key, clean_HWC.shape[2] - has_alpha(clean_HWC)
        self.bound, self.level = bound_of(clean_HWC, epsilon), peak_of(clean_HWC) / 255
        self.faded, self.largest, self.values, self.total, self.squares = False, 0, 0, 0, 0

    def add(self, clean_HWC: Pixels, protected_HWC: Pixels) -> None:
        """One strip of both images."""
        height, width, channels = clean_HWC.shape
        if channels > self.colours:
            self.faded |= not np.array_equal(clean_HWC[:, :, self.colours :], protected_HWC[:, :, self.colours :])
        # Sums of whole numbers, so that they do not depend on the strips; an alpha that did not change adds nothing.
        self.values += height * width * self.colours
        self.largest = max(self.largest, int(cv2.norm(clean_HWC, protected_HWC, cv2.NORM_INF)))
        self.total += int(cv2.norm(clean_HWC, protected_HWC, cv2.NORM_L1))
        self.squares += round(cv2.norm(clean_HWC, protected_HWC, cv2.NORM_L2SQR))  # OpenCV squares a root

    def measured(self) -> tuple[int, float, float]:
        """(largest |Δ| in levels of 255, mean |Δ| in levels, mean squared error in levels²) of what was shown.

        Raises:
            SampleError: `out-of-bound`, `unchanged`; names the key and the value found.
        """
        if self.faded:
            raise SampleError("out-of-bound", "the alpha channel changed", key=self.key)
        if self.largest > self.bound:
            found = f"a pixel moved by {self.largest} levels; the bound is {self.bound}"
            raise SampleError("out-of-bound", found, key=self.key)
        if self.largest == 0:
            found = "the protected image is the input; too small, or ε too small"
            raise SampleError("unchanged", found, key=self.key)
        mean, squared = self.total / self.values / self.level, self.squares / self.values / self.level**2
        return int(np.ceil(self.largest / self.level)), mean, squared


def measure_change(
    key: str, clean_HWC: Pixels | KeptPixels, protected_HWC: Pixels, epsilon: float
) -> tuple[int, float, float]:
    """Check one image against the bound; what `Change.measured` gives.

    Raises:
        SampleError: `out-of-bound`, `unchanged`, `layout`; names the key and the value found.
    """
    if clean_HWC.shape != protected_HWC.shape or clean_HWC.dtype != protected_HWC.dtype:
        raise SampleError(
            "layout",
            f"the protected image is {protected_HWC.shape} {protected_HWC.dtype}, "
            f"the input {clean_HWC.shape} {clean_HWC.dtype}",
            key=key,
        )
    height, width, _ = clean_HWC.shape
    change = Change(key, clean_HWC[:1], epsilon)
    for rows in strips(height, height * width):
        change.add(clean_HWC[rows], protected_HWC[rows])
    return change.measured()
