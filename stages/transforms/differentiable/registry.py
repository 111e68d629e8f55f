"""Every differentiable transformation by its name in `train.robust`, and the draw of one of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from schemas.training import Distorting
from stages.transforms.differentiable.band import SoftBand
from stages.transforms.differentiable.base import Distortion
from stages.transforms.differentiable.blur import SoftBlur
from stages.transforms.differentiable.gray import SoftGray
from stages.transforms.differentiable.jpeg import SoftJpeg
from stages.transforms.differentiable.resize import SoftResize

DISTORTIONS: dict[Distorting, Distortion] = {
    "jpeg": SoftJpeg(),
    "blur": SoftBlur(),
    "resize": SoftResize(),
    "gray": SoftGray(),
    "band": SoftBand(),
}


def distorted(x_BCHW: torch.Tensor, names: Sequence[Distorting], rng: torch.Generator) -> torch.Tensor:
    """The batch as it is or through one of the named transformations, each as likely as the others.

    Over the steps of a training that is the expectation over transformations (Athalye et al., ICML 2018). Without names
    nothing is drawn.

    Args:
        x_BCHW: B×3×H×W in [0, 1].
        names: of `DISTORTIONS`.
        rng: CPU generator; the only source of randomness.
    """
    drawn = int(torch.randint(len(names) + 1, (1,), generator=rng)) if names else 0
    return DISTORTIONS[names[drawn - 1]](x_BCHW, rng) if drawn else x_BCHW
