"""Decoding of label maps: a PNG whose values mean something, exactly as they are stored.

Shapes: H×W values, or H×W×C where the file has colours.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import PngImagePlugin

from schemas.errors import SampleError
from stages.io.images.decoding import decode_image
from stages.io.images.formats import BOMB, BROKEN, checked_bytes, image_extension

PALETTE, GRAY = 3, 0
"""Colour types in a PNG's header."""


def decode_map(data: bytes, *, max_pixels: int) -> np.ndarray:
    """The values of a PNG: palette indices as they are, 1, 2 and 4 bits not stretched to 8, 16 bits whole.

    Args:
        data: the encoded image.
        max_pixels: largest H·W, read from the header before anything is decoded.

    Returns:
        H×W uint8 or uint16; H×W×C where the file has colours or alpha.

    Raises:
        SampleError: `label-unreadable` for another format; as `decode_image` for a damaged or too large one.
    """
    extension = image_extension(data)
    if extension != "png":
        found = f"a {extension} image" if extension else f"{len(data)} bytes that begin with {data[:8]!r}"
        raise SampleError("label-unreadable", f"it holds {found}; write it as PNG or npy")
    depth, colours = (data[24], data[25]) if len(data) > 25 else (8, GRAY)
    if colours != PALETTE and not (colours == GRAY and depth < 8):
        pixels_HWC = decode_image(data, max_pixels=max_pixels).pixels
        return pixels_HWC[..., 0] if pixels_HWC.shape[2] == 1 else pixels_HWC
    try:
        image = PngImagePlugin.PngImageFile(io.BytesIO(checked_bytes(data, "png", max_pixels)), "")
        image.load()
    except (*BOMB, *BROKEN) as error:
        raise SampleError("corrupt-image", f"it is a damaged PNG ({error}); replace it") from error
    values_HW = np.array(image).astype(np.uint8)
    return values_HW // (255 // (2**depth - 1)) if colours == GRAY and depth > 1 else values_HW
