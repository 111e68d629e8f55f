"""JPEG, differentiable: the codec without its lossless part, whose rounding lets gradients pass.

Colours go to Y'CbCr, chroma to half the side, 8×8 blocks to cosines, and those to multiples of the tables of ITU T.81
(annex K), scaled to a quality as libjpeg does. Rounding has slope 1 ("straight-through"; Shin and Song, 2017, have a
smooth one instead).

Shapes: B images, P planes, H×W pixels, h×w blocks of 8×8.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from stages.transforms.differentiable.base import Distortion

LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99), (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99), *((99,) * 8 for _ in range(4)),
)  # fmt: skip
TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))
QUALITIES = (10, 90)
"""Lowest and highest quality that is drawn."""


class SoftJpeg(Distortion):
    """A quality of 10 to 90, the same for a batch."""

    def __call__(self, x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """The batch as it comes back from the files."""
        return compressed(x_BCHW, int(torch.randint(QUALITIES[0], QUALITIES[1] + 1, (1,), generator=rng)))


def compressed(x_BCHW: torch.Tensor, quality: int) -> torch.Tensor:
    """Images as they come back from JPEG files of a quality, B×3×H×W in about [0, 1]."""
    height, width = x_BCHW.shape[-2:]
    padded_BCHW = functional.pad(x_BCHW, (0, -width % 16, 0, -height % 16), mode="replicate")
    ycc_BCHW = torch.einsum("pc,bchw->bphw", x_BCHW.new_tensor(TO_YCC), 255 * padded_BCHW)
    luma_B1HW = quantised(ycc_BCHW[:, :1] - 128, LUMA_TABLE, quality) + 128
    chroma_B2hw = quantised(functional.avg_pool2d(ycc_BCHW[:, 1:], 2), CHROMA_TABLE, quality)
    chroma_B2HW = functional.interpolate(chroma_B2hw, scale_factor=2, mode="bilinear")
    ycc_BCHW = torch.cat([luma_B1HW, chroma_B2HW], dim=1)
    rgb_BCHW = torch.einsum("cp,bphw->bchw", x_BCHW.new_tensor(TO_RGB), ycc_BCHW) / 255
    return rgb_BCHW[:, :, :height, :width]


def quantised(planes_BPHW: torch.Tensor, table: tuple[tuple[int, ...], ...], quality: int) -> torch.Tensor:
    """Planes around 0 whose cosines are multiples of a table; H and W are multiples of 8."""
    scale = 50 / quality if quality < 50 else 2 - quality / 50
    steps_88 = (planes_BPHW.new_tensor(table) * scale + 0.5).floor().clamp(1, 255)
    count, planes, height, width = planes_BPHW.shape
    blocks = planes_BPHW.reshape(count, planes, height // 8, 8, width // 8, 8)
    cosines_88 = _cosines().to(planes_BPHW)
    shares = torch.einsum("ui,vj,bphiwj->bphwuv", cosines_88, cosines_88, blocks) / steps_88
    rounded = shares + (shares.round() - shares).detach()
    again = torch.einsum("ui,vj,bphwuv->bphiwj", cosines_88, cosines_88, rounded * steps_88)
    return again.reshape(count, planes, height, width)


def _cosines() -> torch.Tensor:
    """The orthonormal cosine transform of eight values, 8×8."""
    places, waves = torch.arange(8), torch.arange(8)[:, None]
    cosines = torch.cos((2 * places + 1) * waves * math.pi / 16) / 2
    cosines[0] /= math.sqrt(2)
    return cosines
