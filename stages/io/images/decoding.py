"""Images to pixels: strict decoding of what is stored; label maps keep their values exactly.

Shapes: H×W values of a label map, or H×W×C where the file has colours.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from schemas.errors import SampleError
from stages.io.images.formats import (
    BOMB,
    BROKEN,
    check_depth,
    check_size,
    checked_bytes,
    image_extension,
    image_format,
    looks_like_image,
    unread_format,
    unsupported,
)
from stages.io.images.pixel_layout import strips, swap_red_and_blue
from stages.io.images.spill import LARGE_PIXELS, Pixels, gathered

# The transposition that takes back what Pillow does to a TIFF with this orientation.
_UNTURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image as stored."""

    pixels: Pixels
    """H×W×C, uint8 or uint16 over its full range; C = 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA."""
    mode: str
    """Pillow's name of what the file holds: `L`, `P`, `CMYK`, `I;16`; also `RGB;16` and `RGBA;16`."""
    rotated: bool
    """The file asks for a turned display (EXIF orientation other than 1); the pixels are not turned."""


def decode_image(data: bytes, *, max_pixels: int) -> Decoded:
    """Decode JPEG, PNG, WebP, GIF, TIFF, JPEG 2000, BMP or PPM to the pixels that are stored.

    Bits, palettes and other colour spaces become gray, RGB or RGBA of 8 bits; transparency becomes an alpha channel.
    16-bit gray (PNG, TIFF, JPEG 2000) and 16-bit RGB and RGBA (PNG) stay 16 bits. Colour profiles and gamma are not
    applied, orientation is not applied. A JPEG with several pictures (MPO) is its first one.

    Args:
        data: the encoded image.
        max_pixels: largest H·W, read from the header before anything is decoded.

    Raises:
        SampleError: `corrupt-image`, `truncated-image`, `decompression-bomb`, `animated-image` (also pages),
            `unsupported-mode`. The message names no key: the caller adds it.
    """
    if name := unread_format(data):
        raise unsupported(f"the format {name}")
    found = image_format(data)
    if found is None:
        if looks_like_image(data):
            raise unsupported("an image format that is not read here")
        raise SampleError("corrupt-image", f"{len(data)} bytes that begin with {data[:8]!r} are no image; replace it")
    extension, plugin = found
    try:
        data = checked_bytes(data, extension, max_pixels)
        image = plugin(io.BytesIO(data), "")
        check_size(image.size, max_pixels)
        if getattr(image, "is_animated", False):
            raise SampleError("animated-image", "the image has several frames or pages; keep one of them")
        check_depth(data, extension, image)
        # Pillow turns a TIFF as it loads it, and forgets the tag.
        stored = image.tag_v2.get(274, 1) if isinstance(image, TiffImagePlugin.TiffImageFile) else 1
        image.load()
        rotated = stored != 1 or _orientation(image) != 1
        source: Image.Image = image
        if stored in _UNTURN:
            source = image.transpose(_UNTURN[stored])
            image.close()
        mode, pixels = _pixels(data, extension, source)
        return Decoded(np.ascontiguousarray(pixels), mode, rotated)
    except BOMB as error:
        raise SampleError("decompression-bomb", f"{error}; shrink the image") from error
    except BROKEN as error:
        cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
        reason, state = ("truncated-image", "ends early") if cut else ("corrupt-image", "is damaged")
        message = f"the {extension} image of {len(data)} bytes {state} ({error}); replace it"
        raise SampleError(reason, message) from error


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(274, 1)
    except BROKEN:
        return 1


def _pixels(data: bytes, extension: str, image: Image.Image) -> tuple[str, Pixels]:
    mode, transparency = image.mode, image.info.get("transparency")
    depth = data[24] if extension == "png" else 8
    if depth == 16 and mode != "I;16":
        if data[25] == 4 or transparency is not None:
            raise unsupported("16-bit PNG with transparency other than RGBA")
        return f"{mode};16", _decode_16_bit_png(data)
    if mode.startswith("I;16"):
        if transparency is not None:
            raise unsupported("16-bit gray with transparency")
        return mode, _gathered(image, lambda strip: np.array(strip).astype(np.uint16)[..., None])
    return mode, _gathered(image, _conversion(mode, depth, image))


def _conversion(mode: str, depth: int, image: Image.Image) -> Callable[[Image.Image], Pixels]:
    """How an image of this mode, or a strip of it, becomes pixels."""
    if mode in ("P", "PA"):
        colours = "RGBA" if image.has_transparency_data else "RGB"
        return lambda strip: np.array(strip.convert(colours))
    if mode == "LAB":
        lab = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
        return lambda strip: np.array(ImageCms.applyTransform(strip, lab))
    if mode in ("RGBX", "CMYK", "YCbCr", "HSV"):
        return lambda strip: np.array(strip.convert("RGB"))
    if mode not in ("1", "L", "LA", "RGB", "RGBA"):
        raise unsupported(f"mode {mode}")
    transparency = None if mode in ("LA", "RGBA") else image.info.get("transparency")
    return lambda strip: _plain(strip, mode, depth, transparency)


def _plain(image: Image.Image, mode: str, depth: int, transparency: Any) -> Pixels:
    if mode == "RGB" and transparency is None:
        return _colours(image)
    pixels = np.array(image.convert("L") if mode == "1" else image)
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    if transparency is None:
        return pixels
    # The PNG names one sample value as transparent, in the file's own depth; Pillow gives the pixels in 8 bits.
    top = 2**depth - 1
    clear = (np.atleast_1d(transparency) & top) * 255 // top
    alpha = np.where((pixels == clear).all(axis=2), 0, 255).astype(np.uint8)
    return np.dstack([pixels, alpha])


def _colours(image: Image.Image) -> Pixels:
    """The pixels of an RGB image, without the copies that NumPy's way from Pillow makes.

    Pillow keeps four bytes a pixel and shows them as an Arrow array, unless it has put the image in several blocks.
    """
    try:
        values: Any = pa.array(image)
    except ValueError:
        return np.array(image)
    shown_HWX = np.asarray(values.values).reshape(image.height, image.width, 4)
    colours: Any = cv2.cvtColor(shown_HWX, cv2.COLOR_RGBA2RGB)
    pixels_HWC: Pixels = colours.reshape(shown_HWX.shape[0], shown_HWX.shape[1], 3)
    return pixels_HWC


def _gathered(image: Image.Image, convert: Callable[[Image.Image], Pixels]) -> Pixels:
    """The pixels of an image; of a large one strip by strip, and Pillow's copy is gone before ours is made."""
    width, height = image.size
    if width * height < LARGE_PIXELS:
        return convert(image)

    def parts() -> Iterator[Pixels]:
        for rows in strips(height, width * height):
            yield convert(image.crop((0, rows.start, width, rows.stop)))
        image.close()

    return gathered(parts())


def _decode_16_bit_png(data: bytes) -> Pixels:
    # Pillow gives 8 bits of it.
    pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ValueError("OpenCV cannot decode this 16-bit PNG")
    decoded: Pixels = pixels
    swap_red_and_blue(decoded)
    return decoded


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
