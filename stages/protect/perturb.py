"""From δ at the canonical resolution to integer pixels within the bound.

Shapes: H×W×C pixels as stored (C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA), R canonical resolution, w columns.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional

from stages.io.images.pixels import bound_of, has_alpha, peak_of
from stages.io.images.spill import Pixels
from stages.io.images.strips import strips


def add_perturbation(pixels_HWC: Pixels, delta_CRR: torch.Tensor, epsilon: float) -> Pixels:
    """Integer pixels of x + δ, within the bound (`perturbed_strips`); the image itself stays as it is."""
    perturbed_HWC = np.empty_like(pixels_HWC)
    for columns, strip_HwC in perturbed_strips(pixels_HWC, delta_CRR, epsilon):
        perturbed_HWC[:, columns] = strip_HwC
    return perturbed_HWC


def perturbed_strips(pixels_HWC: Pixels, delta_CRR: torch.Tensor, epsilon: float) -> Iterator[tuple[slice, Pixels]]:
    """Integer pixels of x + δ, within the bound, strip by strip of columns; each may be written back over its input.

        q = clip(round(peak·(x + δ)), p - B, p + B) ∩ [0, peak]

    Args:
        pixels_HWC: the image as stored.
        delta_CRR: δ at the canonical resolution, 3×R×R in [-ε, +ε]; resized to H×W (bilinear, antialias).
        epsilon: ε in [0, 1] units.

    Yields:
        (columns, H×w×C of the same type; alpha is unchanged).
    """
    height, width, channels = pixels_HWC.shape
    colours = channels - 1 if has_alpha(pixels_HWC) else channels
    peak, bound = peak_of(pixels_HWC), bound_of(pixels_HWC, epsilon)
    columns = list(strips(width, height * width))
    # Resizing is separable, the width before the height: strips of columns stretched one by one are the same bits.
    wide_CRW = delta_CRR if len(columns) == 1 else _resized(delta_CRR, delta_CRR.shape[1], width)
    for strip in columns:
        part_HwC = pixels_HWC[:, strip]
        delta_CHw = _resized(wide_CRW[:, :, strip] if len(columns) > 1 else wide_CRW, height, part_HwC.shape[1])
        delta_HwC = delta_CHw.clamp(-epsilon, epsilon).permute(1, 2, 0).numpy()
        stored = part_HwC[:, :, :colours].astype(np.int32)
        moved = np.rint(stored + np.float32(peak) * delta_HwC[:, :, :colours]).astype(np.int32)
        inside = np.clip(np.clip(moved, stored - bound, stored + bound), 0, peak)
        yield strip, np.concatenate([inside.astype(pixels_HWC.dtype), part_HwC[:, :, colours:]], axis=2)


def _resized(delta_CHW: torch.Tensor, height: int, width: int) -> torch.Tensor:
    if delta_CHW.shape[1:] == (height, width):
        return delta_CHW
    return functional.interpolate(
        delta_CHW[None], size=(height, width), mode="bilinear", antialias=True, align_corners=False
    )[0]
