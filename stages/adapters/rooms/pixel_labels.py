"""Labels of pixels: brought from other people's files to what is stored, or refused; and the members that store them.

Legend: H×W pixels; a depth in metres, 0 where there is none; a mask with `UNLABELLED` where there is no class.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from schemas.errors import SampleError

UNLABELLED = 255
"""In a mask: a pixel without a class."""

MILLIMETRES = 1000
"""A depth of 1 m in `depth.png`."""


def dense_members(
    image_HWC: npt.NDArray[np.uint8],
    mask_HW: npt.NDArray[np.uint8] | None,
    depth_HW: npt.NDArray[np.floating] | None,
    normals_HWC: npt.NDArray[np.floating] | None,
    palette: Sequence[int] | None = None,
) -> list[tuple[str, bytes]]:
    """Field and bytes of each member, in the order stored; what is None has none.

    Args:
        image_HWC: H×W×3, RGB.
        mask_HW: H×W class indices, or `UNLABELLED`; `mask.png`, 8 bits.
        depth_HW: H×W metres up to 65, 0 where there is none; `depth.png`, 16 bits, millimetres.
        normals_HWC: H×W×3 of length 1, 0 where there is none; `normals.npy`, float16.
        palette: 3·256 values for people who look at the mask; None: a gray PNG.
    """
    members = [("png", _png(Image.fromarray(image_HWC)))]
    if mask_HW is not None:
        mask = Image.fromarray(mask_HW)
        if palette is not None:
            mask.putpalette(palette)
        members.append(("mask.png", _png(mask)))
    if depth_HW is not None:
        members.append(("depth.png", _png(Image.fromarray(np.rint(depth_HW * MILLIMETRES).astype(np.uint16)))))
    if normals_HWC is not None:
        encoded = io.BytesIO()
        np.save(encoded, normals_HWC.astype(np.float16), allow_pickle=False)
        members.append(("normals.npy", encoded.getvalue()))
    return members


def _png(picture: Image.Image) -> bytes:
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    return encoded.getvalue()


Floats = npt.NDArray[np.floating]

FARTHEST = 65535 / MILLIMETRES
"""Metres that 16 bits of millimetres hold."""

SHORTEST = 0.5
"""Length below which a normal is none: files hold 0, and resizing mixes it in."""

LONGEST = 1.5


def checked_image(image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """H×W×3 uint8 of H×W×3 in 0..255 (uint8) or in 0..1 (floats).

    Raises:
        SampleError: `wrong-shape`, `image-out-of-range`.
    """
    if image.ndim != 3 or image.shape[2] != 3:
        raise SampleError("wrong-shape", f"the image has the shape {image.shape}, expected H×W×3; correct it")
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    low, high = float(image.min()), float(image.max())
    if not (low >= -1e-6 and high <= 1 + 1e-6):  # NaN as well
        raise SampleError("image-out-of-range", f"the image has values in {low:g}..{high:g}, expected 0..1; correct it")
    return np.ascontiguousarray(np.rint(image * 255).clip(0, 255).astype(np.uint8))


def checked_mask(mask: npt.NDArray[Any], classes: int) -> npt.NDArray[np.uint8]:
    """H×W uint8 of class indices, where -1 is no class.

    Raises:
        SampleError: `wrong-shape`, `class-out-of-range`.
    """
    flat = mask[..., 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
    if flat.ndim != 2:
        raise SampleError("wrong-shape", f"the mask has the shape {mask.shape}, expected H×W; correct it")
    wrong = ~((flat >= -1) & (flat < classes) & (flat == np.floor(flat)))
    if wrong.any():
        found = flat[wrong].flat[0]
        raise SampleError("class-out-of-range", f"the mask has {found:g}, outside -1..{classes - 1}; correct it")
    return np.where(flat < 0, UNLABELLED, flat).astype(np.uint8)


def checked_depth(depth: npt.NDArray[Any]) -> Floats:
    """H×W metres; what is not finite is no depth.

    Raises:
        SampleError: `wrong-shape`, `depth-out-of-range`.
    """
    flat = depth[..., 0] if depth.ndim == 3 and depth.shape[2] == 1 else depth
    if flat.ndim != 2:
        raise SampleError("wrong-shape", f"the depth has the shape {depth.shape}, expected H×W; correct it")
    known = np.where(np.isfinite(flat), flat, 0).astype(np.float64)
    if known.min() < 0 or known.max() > FARTHEST:
        raise SampleError(
            "depth-out-of-range",
            f"the depth has values in {known.min():g}..{known.max():g}, expected 0..{FARTHEST:.0f} m; correct it",
        )
    return known


def checked_normals(normals: npt.NDArray[Any]) -> Floats:
    """H×W×3 of length 1, or 0 where there is none; lengths that resizing has changed a little are corrected.

    Raises:
        SampleError: `wrong-shape`, `normal-out-of-range`.
    """
    if normals.ndim != 3 or normals.shape[2] != 3:
        raise SampleError("wrong-shape", f"the normals have the shape {normals.shape}, expected H×W×3; correct them")
    known = np.where(np.isfinite(normals), normals, 0).astype(np.float64)
    length_HW1 = np.linalg.norm(known, axis=2, keepdims=True)
    if length_HW1.max() > LONGEST:
        raise SampleError(
            "normal-out-of-range",
            f"a normal has the length {length_HW1.max():g}, expected 1, or 0 where there is none; correct them",
        )
    return np.where(length_HW1 < SHORTEST, 0, known / np.maximum(length_HW1, SHORTEST))


def check_sizes(labels: dict[str, npt.NDArray[Any] | None], image: npt.NDArray[Any]) -> None:
    """Compare the labels with the image's size.

    Raises:
        SampleError: `wrong-size`.
    """
    for name, label in labels.items():
        if label is not None and label.shape[:2] != image.shape[:2]:
            found, wanted = ("×".join(map(str, each.shape[:2])) for each in (label, image))
            raise SampleError("wrong-size", f"the {name} has {found} pixels, the image {wanted}; make them equal")
