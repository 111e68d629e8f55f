"""What an image file says of itself before it is decoded: its format, size, depth, and whether it is whole."""

from __future__ import annotations

import io
import re
import struct
import zlib

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from schemas.errors import SampleError

_FORMATS: tuple[tuple[str, re.Pattern[bytes], type[ImageFile.ImageFile]], ...] = (
    # JpegImageFile, not Pillow's factory: a phone's multi-picture JPEG is its first picture.
    ("jpg", re.compile(rb"\xff\xd8\xff"), JpegImagePlugin.JpegImageFile),
    ("png", re.compile(rb"\x89PNG\r\n\x1a\n"), PngImagePlugin.PngImageFile),
    ("webp", re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImagePlugin.WebPImageFile),
    ("gif", re.compile(rb"GIF8[79]a"), GifImagePlugin.GifImageFile),
    ("tiff", re.compile(rb"II[*+]\0|MM\0[*+]"), TiffImagePlugin.TiffImageFile),
    ("jp2", re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n"), Jpeg2KImagePlugin.Jpeg2KImageFile),
    ("bmp", re.compile(rb"BM"), BmpImagePlugin.BmpImageFile),
    ("ppm", re.compile(rb"P[1-6]\s"), PpmImagePlugin.PpmImageFile),
)

_OPENCV_ONLY = re.compile(
    rb"#\?RADIANCE|#\?RGBE|\x59\xa6\x6a\x95|\x76\x2f\x31\x01|P7\s|P[Ff]\s|\xff\x0a|\0\0\0\x0cJXL |\0\0\0.ftypavi[fs]",
    re.DOTALL,
)
"""Radiance HDR, Sun raster, OpenEXR, PAM, PFM, JPEG XL, AVIF: formats of OpenCV that a build of Pillow may lack."""

BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    EOFError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Warning,
)
"""What Pillow's plugins raise on damaged bytes; `Warning` for programs that turn warnings into errors."""

BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
"""What Pillow raises by its own limit, which is not changed: it is the whole process's."""


def image_format(data: bytes) -> tuple[str, type[ImageFile.ImageFile]] | None:
    """Ending and Pillow plugin of a format that is read, by its first bytes; None for anything else.

    The plugin is used without `Image.open`, whose pixel limit belongs to the whole process.
    """
    start = data[:16]
    return next(((extension, plugin) for extension, magic, plugin in _FORMATS if magic.match(start)), None)


def image_extension(data: bytes) -> str | None:
    """Ending of a format that is read (`jpg`, `png`, `webp`, …); None for anything else."""
    found = image_format(data)
    return found and found[0]


def looks_like_image(data: bytes) -> bool:
    """Whether Pillow or OpenCV would take these bytes for an image, by its header; nothing is decoded (0.1 ms)."""
    # `BM` and `P1 ` may begin a text: these two need a whole header.
    if image_extension(data) not in (None, "bmp", "ppm") or _OPENCV_ONLY.match(data):
        return True
    try:
        Image.open(io.BytesIO(data)).close()
    except BOMB:
        return True
    except BROKEN:
        return False
    return True


def header_size(data: bytes) -> tuple[int, int] | None:
    """H and W by an image's header, nothing decoded; None for anything else."""
    found = image_format(data)
    if found is None:
        return None
    try:
        with found[1](io.BytesIO(data)) as image:
            return image.size[::-1]
    except (*BOMB, *BROKEN):
        return None


def unsupported(found: str) -> SampleError:
    """The error for an image that is whole but has no place in gray, RGB or RGBA of 8 or 16 bits."""
    return SampleError("unsupported-mode", f"{found} is not supported; convert it to an 8- or 16-bit PNG")


def check_size(size: tuple[int, int], max_pixels: int) -> None:
    """Refuse an image of more than `max_pixels` pixels.

    Raises:
        SampleError: `decompression-bomb`.
    """
    width, height = size
    if width * height > max_pixels:
        raise SampleError(
            "decompression-bomb",
            f"the header says {width}×{height} pixels, more than dataset.max_pixels ({max_pixels}); "
            "raise it, or shrink the image",
        )


def check_before_opening(data: bytes, extension: str, max_pixels: int) -> None:
    """What Pillow does not check, or only after it has allocated the canvas.

    Raises:
        SampleError: `decompression-bomb`.
        EOFError: the file ends early.
        ValueError: a checksum is wrong.
    """
    if extension == "png":
        if data[12:16] == b"IHDR" and len(data) >= 24:
            width, height = struct.unpack(">II", data[16:24])
            check_size((width, height), max_pixels)
        _check_png(data)
    elif extension == "webp":
        size = _webp_size(data)
        if size is not None:
            check_size(size, max_pixels)
        whole = 8 + int.from_bytes(data[4:8], "little")
        if len(data) < whole:
            raise EOFError(f"its header says {whole} bytes")
    elif extension == "jp2" and b"\xff\xd9" not in data[-64:]:
        raise EOFError("no end-of-codestream marker")


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of the canvas (RFC 9649, sections 2.5 to 2.7); None where the header is damaged."""
    if len(data) < 30:
        return None
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if data[12:16] == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def _check_png(data: bytes) -> None:
    """Walk the chunks: Pillow shows a PNG whose end is missing, and does not check the sums of pixel data."""
    position = 8
    while position + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        end = position + 12 + length
        if end > len(data):
            break
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            checksum = zlib.crc32(memoryview(data)[position + 4 : end - 4])
            if checksum != int.from_bytes(data[end - 4 : end], "big"):
                raise ValueError(f"the checksum of chunk {kind.decode()} at byte {position} is wrong")
        if kind == b"IEND":
            return
        position = end
    raise EOFError("no IEND chunk")


def check_depth(data: bytes, extension: str, image: ImageFile.ImageFile) -> None:
    """Refuse what Pillow would silently cut down to 8 bits (16-bit PNG apart, which is not decoded with Pillow).

    Raises:
        SampleError: `unsupported-mode`.
    """
    depth = 8
    if isinstance(image, TiffImagePlugin.TiffImageFile) and not image.mode.startswith("I;16"):
        depth = max(image.tag_v2.get(258, (1,)))
    elif extension == "ppm" and image.tile and isinstance(image.tile[0].args, tuple):
        depth = int(image.tile[0].args[1]).bit_length()
    elif extension == "jp2":
        # The SIZ segment (ISO 15444-1, A.5.1): number of components at byte 40 of the codestream, then 3 bytes each.
        size = data.find(b"\xff\x4f\xff\x51")
        components = int.from_bytes(data[size + 40 : size + 42], "big")
        depth = max((byte & 0x7F) + 1 for byte in data[size + 42 : size + 42 + 3 * components : 3])
        depth = 8 if depth == 16 and image.mode == "I;16" else depth
    if depth > 8:
        raise unsupported(f"{extension} of mode {image.mode} with {depth} bits a channel")
