"""Down and up again, differentiable (`stages/transforms/resize.py`)."""

from __future__ import annotations

import torch
from torch.nn import functional

from stages.transforms.differentiable.base import Distortion, uniform


class SoftResize(Distortion):
    """To 0.4 to 0.9 of the side and back, bilinear with antialiasing: what is left for a victim at a smaller size."""

    def __call__(self, x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """The batch after both resizes."""
        share, size = uniform(0.4, 0.9, rng), x_BCHW.shape[-2:]
        smaller = [max(1, round(side * share)) for side in size]
        small_BChw = functional.interpolate(x_BCHW, size=smaller, mode="bilinear", antialias=True)
        return functional.interpolate(small_BChw, size=size, mode="bilinear", antialias=True)
