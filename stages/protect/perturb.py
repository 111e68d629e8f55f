"""From δ at the canonical resolution to integer pixels within the bound, and the check of what changed.

Shapes: H×W×C pixels as stored (C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA), R canonical resolution, w columns.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.nn import functional

from schemas.errors import SampleError
from stages.io.images.pixel_layout import bound_of, has_alpha, peak_of, strips
from stages.io.images.spill import KeptPixels, Pixels

KEPT_BYTES = 96 * 2**20
"""Largest sum of the shifts that are kept: 64 of RGB at 512×512."""

SHIFTED_PIXELS = 2**20
"""From this H·W on an image is perturbed by strips, and its shift is not kept."""


class Shift(NamedTuple):
    """What δ adds to and takes from each stored value, in the image's own levels; at least one of the two is 0.

    For a whole p, rint(p + d) is p + rint(d), unless d lies midway between two levels. There rint goes to the even sum,
    which depends on whether p is even.
    """

    up_HWC: Pixels
    down_HWC: Pixels
    odd: tuple[Pixels, Pixels] | None
    """What is added and what is taken besides where p is odd, modulo the type's range; None: nothing anywhere."""


class Shifts:
    """Shifts of δ for sizes and layouts of images; the last ones are kept, as class codes repeat one δ many times.

    Args:
        epsilon: ε in [0, 1] units.
    """

    def __init__(self, epsilon: float) -> None:
        self.epsilon = epsilon
        self.kept: OrderedDict[object, Shift] = OrderedDict()
        self.bytes = 0

    def of(self, pixels_HWC: Pixels, delta_CRR: torch.Tensor, name: bytes) -> Shift:
        """The shift of an image.

        Args:
            pixels_HWC: the image; its size and type matter.
            delta_CRR: δ at the canonical resolution.
            name: the same for the same δ only.
        """
        key = (name, pixels_HWC.shape, pixels_HWC.dtype.char)
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        made = shift_of(pixels_HWC, delta_CRR, self.epsilon)
        self.kept[key] = made
        self.bytes += _bytes_of(made)
        while self.bytes > KEPT_BYTES and len(self.kept) > 1:
            self.bytes -= _bytes_of(self.kept.popitem(last=False)[1])
        return made


def _bytes_of(shift: Shift) -> int:
    return sum(part.nbytes for part in (shift.up_HWC, shift.down_HWC, *(shift.odd or ())))


def shifted(pixels_HWC: Pixels, shift: Shift) -> Pixels:
    """The sum of an image and a shift, within the range of its type; the image itself stays as it is."""
    pixels_HWC, up_HWC, down_HWC = np.ascontiguousarray(pixels_HWC), shift.up_HWC, shift.down_HWC
    if shift.odd is not None:
        odd_HWC = pixels_HWC & 1
        up_HWC, down_HWC = up_HWC + odd_HWC * shift.odd[0], down_HWC + odd_HWC * shift.odd[1]
    # OpenCV's sums stop at 0 and at the type's largest value.
    lighter: Any = cv2.add(pixels_HWC, up_HWC)
    moved: Any = cv2.subtract(lighter, down_HWC.reshape(lighter.shape))
    shifted_HWC: Pixels = moved.reshape(pixels_HWC.shape)
    return shifted_HWC


def add_perturbation(pixels_HWC: Pixels, delta_CRR: torch.Tensor, epsilon: float) -> Pixels:
    """Integer pixels of x + δ, within the bound (`perturbed_strips`); the image itself stays as it is."""
    if pixels_HWC.shape[0] * pixels_HWC.shape[1] < SHIFTED_PIXELS:
        return shifted(pixels_HWC, shift_of(pixels_HWC, delta_CRR, epsilon))
    perturbed_HWC = np.empty_like(pixels_HWC)
    for columns, strip_HwC in perturbed_strips(pixels_HWC, delta_CRR, epsilon):
        perturbed_HWC[:, columns] = strip_HwC
    return perturbed_HWC


def shift_of(pixels_HWC: Pixels, delta_CRR: torch.Tensor, epsilon: float) -> Shift:
    """δ in whole levels, cut to the bound, for an image of this size and type."""
    height, width, channels = pixels_HWC.shape
    colours, bound = channels - has_alpha(pixels_HWC), bound_of(pixels_HWC, epsilon)
    moves_CHW = _resized(delta_CRR, height, width)[:colours].clamp(-epsilon, epsilon).mul_(peak_of(pixels_HWC))
    even_CHW = moves_CHW.round()
    rest_CHW = moves_CHW.sub_(even_CHW)
    up_HWC, down_HWC = _up_and_down(even_CHW, bound, pixels_HWC)
    if float(rest_CHW.abs().max()) < 0.5:
        return Shift(up_HWC, down_HWC, None)
    even_CHW += torch.where(rest_CHW.abs() == 0.5, 2 * rest_CHW, 0)
    odd_up_HWC, odd_down_HWC = _up_and_down(even_CHW, bound, pixels_HWC)
    return Shift(up_HWC, down_HWC, (odd_up_HWC - up_HWC, odd_down_HWC - down_HWC))


def _up_and_down(whole_CHW: torch.Tensor, bound: int, like_HWC: Pixels) -> tuple[Pixels, Pixels]:
    """Whole levels, cut to the bound, as what is added and what is taken."""
    cut_CHW = whole_CHW.to(torch.int16).clamp_(-bound, bound)
    return _stored(cut_CHW.clamp(min=0), like_HWC), _stored(cut_CHW.neg_().clamp_(min=0), like_HWC)


def _stored(levels_CHW: torch.Tensor, like_HWC: Pixels) -> Pixels:
    """Whole levels of the colours as values of the image's type and layout; 0 for alpha."""
    planes = [*levels_CHW.numpy().astype(like_HWC.dtype)]
    planes += [np.zeros_like(planes[0])] * (like_HWC.shape[2] - len(planes))
    merged: Any = cv2.merge(planes) if len(planes) > 1 else planes[0]
    values_HWC: Pixels = merged.reshape(like_HWC.shape)
    return values_HWC


def _levels(delta_CHw: torch.Tensor, pixels_HwC: Pixels, epsilon: float) -> np.ndarray:
    """δ of the colours in levels of the image, H×w×colours float32, not rounded."""
    colours = pixels_HwC.shape[2] - has_alpha(pixels_HwC)
    delta_HwC = delta_CHw.clamp(-epsilon, epsilon).permute(1, 2, 0).numpy()
    levels_HwC: np.ndarray = np.float32(peak_of(pixels_HwC)) * delta_HwC[:, :, :colours]
    return levels_HwC


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
        stored = part_HwC[:, :, :colours].astype(np.int32)
        moved = np.rint(stored + _levels(delta_CHw, part_HwC, epsilon)).astype(np.int32)
        inside = np.clip(np.clip(moved, stored - bound, stored + bound), 0, peak)
        yield strip, np.concatenate([inside.astype(pixels_HWC.dtype), part_HwC[:, :, colours:]], axis=2)


def _resized(delta_CHW: torch.Tensor, height: int, width: int) -> torch.Tensor:
    if delta_CHW.shape[1:] == (height, width):
        return delta_CHW
    return functional.interpolate(
        delta_CHW[None], size=(height, width), mode="bilinear", antialias=True, align_corners=False
    )[0]


class Change:
    """What protection changed in one image, over strips that are shown one after the other.

    Args:
        key: the sample, for messages.
        clean_HWC: the image as it was; only its layout matters.
        epsilon: ε in [0, 1] units.
    """

    def __init__(self, key: str, clean_HWC: Pixels, epsilon: float) -> None:
        self.key, self.colours = key, clean_HWC.shape[2] - has_alpha(clean_HWC)
        self.bound, self.level = bound_of(clean_HWC, epsilon), peak_of(clean_HWC) / 255
        self.faded, self.largest, self.values, self.total, self.squares = False, 0, 0, 0, 0

    def add(self, clean_HWC: Pixels, protected_HWC: Pixels) -> None:
        """One strip of both images."""
        height, width, channels = clean_HWC.shape
        if channels > self.colours:
            self.faded |= not np.array_equal(clean_HWC[:, :, self.colours :], protected_HWC[:, :, self.colours :])
        # Sums of whole numbers, so that they do not depend on the strips; an alpha that did not change adds nothing.
        self.values += height * width * self.colours
        self.largest = max(self.largest, int(cv2.norm(clean_HWC, protected_HWC, cv2.NORM_INF)))
        self.total += int(cv2.norm(clean_HWC, protected_HWC, cv2.NORM_L1))
        self.squares += round(cv2.norm(clean_HWC, protected_HWC, cv2.NORM_L2SQR))  # OpenCV squares a root

    def measured(self) -> tuple[int, float, float]:
        """(largest |Δ| in levels of 255, mean |Δ| in levels, mean squared error in levels²) of what was shown.

        Raises:
            SampleError: `out-of-bound`, `unchanged`; names the key and the value found.
        """
        if self.faded:
            raise SampleError("out-of-bound", "the alpha channel changed", key=self.key)
        if self.largest > self.bound:
            found = f"a pixel moved by {self.largest} levels; the bound is {self.bound}"
            raise SampleError("out-of-bound", found, key=self.key)
        if self.largest == 0:
            found = "the protected image is the input; too small, or ε too small"
            raise SampleError("unchanged", found, key=self.key)
        mean, squared = self.total / self.values / self.level, self.squares / self.values / self.level**2
        return int(np.ceil(self.largest / self.level)), mean, squared


def measure_change(
    key: str, clean_HWC: Pixels | KeptPixels, protected_HWC: Pixels, epsilon: float
) -> tuple[int, float, float]:
    """Check one image against the bound; what `Change.measured` gives.

    Raises:
        SampleError: `out-of-bound`, `unchanged`, `layout`; names the key and the value found.
    """
    if clean_HWC.shape != protected_HWC.shape or clean_HWC.dtype != protected_HWC.dtype:
        raise SampleError(
            "layout",
            f"the protected image is {protected_HWC.shape} {protected_HWC.dtype}, "
            f"the input {clean_HWC.shape} {clean_HWC.dtype}",
            key=key,
        )
    height, width, _ = clean_HWC.shape
    change = Change(key, clean_HWC[:1], epsilon)
    for rows in strips(height, height * width):
        change.add(clean_HWC[rows], protected_HWC[rows])
    return change.measured()
