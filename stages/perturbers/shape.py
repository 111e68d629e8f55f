"""The shape of δ, for every perturber: one value for all colours, one value a cell.

Equal channels survive an attacker who turns the images gray, large cells one who shrinks them. Both leave fewer values
in which classes can differ (docs/results.md).

Shapes: B images, C = 3 channels, R canonical resolution.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from schemas.plans import GeneratorSpec


def shaped(values_BCRR: torch.Tensor, gray_B: torch.Tensor, spec: GeneratorSpec) -> torch.Tensor:
    """What becomes δ, or a step of it, in the shape that the specification asks for; linear in the values.

    Args:
        values_BCRR: B×3×R×R, before they are cut to ±ε or to signs.
        gray_B: bool; these images get one δ for all channels, `spec.achromatic` or not.
        spec: with `achromatic` and `cell`.
    """
    if spec.achromatic or bool(gray_B.any()):
        mean_B1RR = values_BCRR.mean(dim=1, keepdim=True)
        equal_B111 = (gray_B | spec.achromatic)[:, None, None, None]
        values_BCRR = torch.where(equal_B111, mean_B1RR, values_BCRR)
    if spec.cell == 1:
        return values_BCRR
    side = values_BCRR.shape[-1]
    cells = functional.avg_pool2d(values_BCRR, spec.cell, ceil_mode=True)  # a cut cell at the edge: of what is there
    return cells.repeat_interleave(spec.cell, dim=2).repeat_interleave(spec.cell, dim=3)[:, :, :side, :side]
