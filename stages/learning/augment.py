"""The usual augmentation: a random shift (crop after padding) and a horizontal flip, for surrogates and victims.

Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional


def augment(x_BCHW: torch.Tensor, kinds: Sequence[str], rng: torch.Generator) -> torch.Tensor:
    """Shift every image by up to H/8 pixels (`crop`, zero padding) and mirror half of them (`flip`).

    Differentiable. A flip moves what lies left to the right: leave it out where a task speaks of sides.

    Args:
        x_BCHW: any range.
        kinds: of `crop` and `flip`.
        rng: CPU generator; the only source of randomness.
    """
    if "flip" in kinds:
        flip_B = torch.rand(len(x_BCHW), generator=rng) < 0.5
        x_BCHW = torch.where(flip_B[:, None, None, None].to(x_BCHW.device), x_BCHW.flip(3), x_BCHW)
    if "crop" in kinds:
        side = x_BCHW.shape[-1]
        reach = max(1, side // 8)
        padded = functional.pad(x_BCHW, (reach, reach, reach, reach))
        x_BCHW = torch.cat([_shift(part, side, reach, rng) for part in padded.split(max(1, len(padded) // 8))])
    return x_BCHW


def _shift(padded_BCHW: torch.Tensor, side: int, reach: int, rng: torch.Generator) -> torch.Tensor:
    """One random window for a handful of images: slicing is many times faster than indexing per image."""
    down, right = torch.randint(0, 2 * reach + 1, (2,), generator=rng).tolist()
    return padded_BCHW[:, :, down : down + side, right : right + side]
