"""What pixels are: channels, levels and bound of an image, its strips, and the canonical view that networks see.

Shapes: H×W×C pixels as stored (C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA), R canonical resolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch.nn import functional

from stages.io.images.spill import Pixels


def has_alpha(pixels_HWC: Pixels) -> bool:
    """Whether the last channel is alpha, which is passed through unchanged."""
    return bool(pixels_HWC.shape[2] in (2, 4))


def is_gray(pixels_HWC: Pixels) -> bool:
    """Whether there is one colour channel; such an image gets one δ."""
    return bool(pixels_HWC.shape[2] <= 2)


def peak_of(pixels_HWC: Pixels) -> int:
    """Largest value of the pixel type: 255 or 65535."""
    return int(np.iinfo(pixels_HWC.dtype).max)


def bound_of(pixels_HWC: Pixels, epsilon: float) -> int:
    """B in the image's own levels: floor(peak·ε + 1e-6); 8 of 255 for ε = 8/255 (docs/method.md, "The bound")."""
    return int(peak_of(pixels_HWC) * epsilon + 1e-6)


def canonical_view(pixels_HWC: Pixels, resolution: int) -> np.ndarray:
    """The image as generator, surrogates and victims see it: R×R×3 uint8, alpha left out, gray repeated.

    Bilinear with antialiasing. Training and protection use this one function, so they see the same pixels.
    """
    colour = pixels_HWC[:, :, :-1] if has_alpha(pixels_HWC) else pixels_HWC
    height, width = colour.shape[:2]
    if colour.dtype == np.uint8 and (height, width) == (resolution, resolution):
        return np.ascontiguousarray(colour if colour.shape[2] == 3 else colour.repeat(3, axis=2))
    rows = list(strips(height, height * width))
    if len(rows) == 1:
        x_BCHW = _floats(colour)
    else:
        # Resizing is separable, the width before the height: strips of rows narrowed one by one are the same bits.
        x_BCHW = torch.empty(1, 3, height, resolution)
        for strip in rows:
            x_BCHW[:, :, strip] = _resized(_floats(colour[strip]), strip.stop - strip.start, resolution)
    resized = _resized(x_BCHW, resolution, resolution)
    return resized[0].permute(1, 2, 0).round_().clamp_(0, 255).to(torch.uint8).numpy()


def _floats(colour_HWC: Pixels) -> torch.Tensor:
    """1×3×H×W float32 in 0..255; gray repeated."""
    rgb_HWC = colour_HWC if colour_HWC.shape[2] == 3 else colour_HWC.repeat(3, axis=2)
    return torch.from_numpy(rgb_HWC.astype(np.float32)).permute(2, 0, 1)[None] * (255 / peak_of(colour_HWC))


def _resized(x_BCHW: torch.Tensor, height: int, width: int) -> torch.Tensor:
    return functional.interpolate(x_BCHW, size=(height, width), mode="bilinear", antialias=True, align_corners=False)


STRIP_PIXELS = 2**17
"""Pixels in a strip, about: a strip of RGB in float64 takes 3 MB."""


def strips(length: int, pixels: int) -> Iterator[slice]:
    """Cut an axis of `length` rows or columns of an image of `pixels` pixels into strips of nearly one size.

    None is a single row or column unless the axis has no more: torch 2.14 resizes an image of one column with the wrong
    kernel.

    >>> list(strips(5, 5 * STRIP_PIXELS))
    [slice(0, 2, None), slice(2, 5, None)]
    """
    count = max(1, min(math.ceil(pixels / STRIP_PIXELS), length // 2))
    for number in range(count):
        yield slice(length * number // count, length * (number + 1) // count)


def swap_red_and_blue(pixels: Pixels) -> None:
    """RGB to OpenCV's BGR and back, in place."""
    order = cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
    for rows in strips(pixels.shape[0], pixels.shape[0] * pixels.shape[1]):
        pixels[rows] = cv2.cvtColor(pixels[rows], order)
