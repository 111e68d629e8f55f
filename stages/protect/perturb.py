"""From δ at the canonical resolution to integer pixels within the bound.

Shapes: H×W×C pixels as stored (C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA), R canonical resolution.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from stages.io.images.codecs import Pixels
from stages.io.images.pixels import bound_of, has_alpha, peak_of


def add_perturbation(pixels_HWC: Pixels, delta_CRR: torch.Tensor, epsilon: float) -> Pixels:
    """Integer pixels of x + δ, within the bound.

        q = clip(round(peak·(x + δ)), p - B, p + B) ∩ [0, peak]

    Args:
        pixels_HWC: the image as stored.
        delta_CRR: δ at the canonical resolution, 3×R×R in [-ε, +ε]; resized to H×W (bilinear, antialias).
        epsilon: ε in [0, 1] units.

    Returns:
        An array of the same shape and type; alpha is unchanged.
    """
    height, width, channels = pixels_HWC.shape
    delta_CHW = delta_CRR
    if delta_CRR.shape[1:] != (height, width):
        delta_CHW = functional.interpolate(
            delta_CRR[None], size=(height, width), mode="bilinear", antialias=True, align_corners=False
        )[0]
    delta_HWC = delta_CHW.clamp(-epsilon, epsilon).permute(1, 2, 0).numpy()
    colours = channels - 1 if has_alpha(pixels_HWC) else channels
    peak, bound = peak_of(pixels_HWC), bound_of(pixels_HWC, epsilon)
    stored = pixels_HWC[:, :, :colours].astype(np.int32)
    moved = np.rint(stored + np.float32(peak) * delta_HWC[:, :, :colours]).astype(np.int32)
    inside = np.clip(np.clip(moved, stored - bound, stored + bound), 0, peak)
    return np.concatenate([inside.astype(pixels_HWC.dtype), pixels_HWC[:, :, colours:]], axis=2)
