"""The contract of a transformation: pixels in, pixels out, at the image's own resolution."""

from __future__ import annotations

from typing import Protocol

from stages.io.images.codecs import Pixels


class Transform(Protocol):
    """Changes one image; the same pixels and key always give the same result, wherever the sample stands."""

    def __call__(self, pixels_HWC: Pixels, key: str) -> Pixels:
        """An array of the same type, H×W×C (C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA); alpha stays."""
