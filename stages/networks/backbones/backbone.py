"""The contract of a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from schemas.errors import ConfigError


class Backbone(nn.Module):
    """A network without its classifier: images to feature maps. Heads pool; dense heads do not.

    Built as `backbone(width=…, resolution=…)`. A subclass sets `features` and defines `forward(x_BCHW)`, which takes
    normalised images, B×3×H×W, to B×F×h×w.

    Args:
        width: channels of the first stage; 64 is the standard network.
        resolution: side of the images in pixels.

    Raises:
        ConfigError: the network is too deep for the resolution.
    """

    smallest_resolution: ClassVar[int]
    """Side in pixels from which at least 2×2 feature maps are left."""

    torchvision_names: ClassVar[Mapping[str, str]] = {}
    """Beginnings of torchvision's weight names to ours, for weights trained elsewhere; empty: torchvision has no such
    network."""

    features: int
    """F, channels of the maps."""

    def __init__(self, *, width: int, resolution: int) -> None:
        super().__init__()
        self.check_resolution(resolution)

    def __call__(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """B×3×H×W, normalised, to B×F×h×w."""
        maps_BFhw: torch.Tensor = super().__call__(x_BCHW)
        return maps_BFhw

    @classmethod
    def check_resolution(cls, resolution: int) -> None:
        """Refuse a side that the network cannot work at; costs nothing.

        Raises:
            ConfigError: it is below `smallest_resolution`.
        """
        if resolution < cls.smallest_resolution:
            raise ConfigError(
                f"{cls.__name__} is too deep for images of {resolution} px: fewer than 2×2 feature maps would be left; "
                f"use images of at least {cls.smallest_resolution} px, or another backbone"
            )
