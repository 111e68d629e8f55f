"""Differentiable twins of transformations: a batch in, a batch out, and gradients back to every pixel.

A new one is a class that derives from `Distortion`, a line in `DISTORTIONS`, and its name in `Distorting`
(schemas/training.py).

Shapes: B images, C channels, P planes, H×W pixels, h×w blocks of 8×8.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch.nn import functional

from schemas.training import Distorting
from stages.transforms.pixels import LUMA


class Distortion(ABC):
    """What an attacker does to all images, at a strength that is drawn at every step."""

    @abstractmethod
    def __call__(self, x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Distort a batch; its size and the places in it stay.

        Args:
            x_BCHW: B×3×H×W in [0, 1].
            rng: CPU generator; the only source of randomness.

        Returns:
            B×3×H×W in about [0, 1], differentiable in `x_BCHW`.
        """


def uniform(low: float, high: float, rng: torch.Generator) -> float:
    """A number between two others."""
    return low + (high - low) * float(torch.rand(1, generator=rng))


BAND_WIDTH = 0.4
"""Of a ring that is removed, as a share of the largest frequency along an axis."""


class SoftBand(Distortion):
    """A ring of the spectrum, or, as often, all that lies above a frequency; the mean of an image stays.

    FUSE (ICML 2026) trains with bands removed at random, against low-pass attacks.
    """

    def __call__(self, x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """The batch without the band."""
        height, width = x_BCHW.shape[-2:]
        low, open_above = uniform(0.1, 0.9, rng), uniform(0, 1, rng) < 0.5
        down_H1 = torch.fft.fftfreq(height, device=x_BCHW.device)[:, None]
        radius_HW = 2 * torch.hypot(down_H1, torch.fft.rfftfreq(width, device=x_BCHW.device)[None])
        removed_HW = (radius_HW >= low) & (radius_HW < (2 if open_above else low + BAND_WIDTH))
        left_BCHW: torch.Tensor = torch.fft.irfft2(torch.fft.rfft2(x_BCHW) * ~removed_HW, s=(height, width))
        return left_BCHW


BLUR_REACH = 3
"""Pixels to each side that the kernel covers: two standard deviations of the widest one."""


class SoftBlur(Distortion):
    """A standard deviation of 0.5 to 1.5 pixels.

    A Gaussian blur.
    """

    def __call__(self, x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """The blurred batch; at the border the image is mirrored."""
        offsets = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=x_BCHW.device, dtype=x_BCHW.dtype)
        weights = torch.exp(-0.5 * (offsets / uniform(0.5, 1.5, rng)) ** 2)
        row = (weights / weights.sum()).expand(x_BCHW.shape[1], 1, 1, -1)
        padded_BCHW = functional.pad(x_BCHW, (BLUR_REACH,) * 4, mode="reflect")
        across_BCHW = functional.conv2d(padded_BCHW, row, groups=x_BCHW.shape[1])
        return functional.conv2d(across_BCHW, row.transpose(2, 3), groups=x_BCHW.shape[1])


class SoftGray(Distortion):
    """Luma in all channels; it has no strength to draw."""

    def __call__(self, x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """The batch without its colours."""
        luma_B1HW = (x_BCHW * x_BCHW.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
        return luma_B1HW.expand(x_BCHW.shape)


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
    """A quality of 10 to 90, the same for a batch.

    The codec without its lossless part; its rounding lets gradients pass.

    Colours go to Y'CbCr, chroma to half the side, 8×8 blocks to cosines. The cosines go to multiples of the tables of
    ITU T.81 (annex K), scaled to a quality as libjpeg does. Rounding has slope 1 ("straight-through"; Shin and Song,
    2017, have a smooth one instead).
    """

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


class SoftResize(Distortion):
    """To 0.4 to 0.9 of the side and back, bilinear with antialiasing: what is left for a victim at a smaller size."""

    def __call__(self, x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """The batch after both resizes."""
        share, size = uniform(0.4, 0.9, rng), x_BCHW.shape[-2:]
        smaller = [max(1, round(side * share)) for side in size]
        small_BChw = functional.interpolate(x_BCHW, size=smaller, mode="bilinear", antialias=True)
        return functional.interpolate(small_BChw, size=size, mode="bilinear", antialias=True)


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
