"""Grayscale, differentiable: every colour value becomes the luma of its pixel (`stages/transforms/gray.py`)."""

from __future__ import annotations

import torch

from stages.transforms.differentiable.base import Distortion
from stages.transforms.gray import LUMA


class SoftGray(Distortion):
    """Luma in all channels; it has no strength to draw."""

    def __call__(self, x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """The batch without its colours."""
        luma_B1HW = (x_BCHW * x_BCHW.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
        return luma_B1HW.expand(x_BCHW.shape)
