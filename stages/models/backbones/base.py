"""The contract of a backbone."""

from __future__ import annotations

from typing import Protocol

import torch


class Backbone(Protocol):
    """A network without its classifier: images to feature maps. Heads pool; dense heads do not.

    Built as `backbone(width=…, resolution=…)`: channels of the first stage, and side of the images in pixels.
    """

    features: int
    """F, channels of the maps."""

    def __call__(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """B×3×H×W, normalised, to B×F×h×w."""
