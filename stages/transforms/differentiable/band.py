"""Removal of a band of frequencies, differentiable (`stages/transforms/bands.py`).

FUSE (ICML 2026) trains with bands removed at random, against low-pass attacks.
"""

from __future__ import annotations

import torch

from stages.transforms.differentiable.base import Distortion, uniform

WIDTH = 0.4
"""Of a ring that is removed, as a share of the largest frequency along an axis."""


class SoftBand(Distortion):
    """A ring of the spectrum, or, as often, all that lies above a frequency; the mean of an image stays."""

    def __call__(self, x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """The batch without the band."""
        height, width = x_BCHW.shape[-2:]
        low, open_above = uniform(0.1, 0.9, rng), uniform(0, 1, rng) < 0.5
        down_H1 = torch.fft.fftfreq(height, device=x_BCHW.device)[:, None]
        radius_HW = 2 * torch.hypot(down_H1, torch.fft.rfftfreq(width, device=x_BCHW.device)[None])
        removed_HW = (radius_HW >= low) & (radius_HW < (2 if open_above else low + WIDTH))
        left_BCHW: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(x_BCHW) * ~removed_HW, s=(height, width))
        return left_BCHW
