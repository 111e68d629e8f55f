"""Strips of an image: what is computed pixel by pixel holds its wide temporaries for one strip at a time.

Shapes: H×W×C pixels as stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2

from stages.io.images.spill import Pixels

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
