"""The members of a sample with a label for every pixel, as every dense dataset here stores them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

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
