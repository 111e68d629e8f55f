"""Gaussian blur, differentiable (`stages/transforms/filters.py`)."""

from __future__ import annotations

import torch
from torch.nn import functional

from stages.transforms.differentiable.base import Distortion, uniform

REACH = 3
"""Pixels to each side that the kernel covers: two standard deviations of the widest one."""


class SoftBlur(Distortion):
    """A standard deviation of 0.5 to 1.5 pixels."""

    def __call__(self, x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """The blurred batch; at the border the image is mirrored."""
        offsets = torch.arange(-REACH, REACH + 1, device=x_BCHW.device, dtype=x_BCHW.dtype)
        weights = torch.exp(-0.5 * (offsets / uniform(0.5, 1.5, rng)) ** 2)
        row = (weights / weights.sum()).expand(x_BCHW.shape[1], 1, 1, -1)
        padded_BCHW = functional.pad(x_BCHW, (REACH,) * 4, mode="reflect")
        across_BCHW = functional.conv2d(padded_BCHW, row, groups=x_BCHW.shape[1])
        return functional.conv2d(across_BCHW, row.transpose(2, 3), groups=x_BCHW.shape[1])
