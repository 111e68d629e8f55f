"""What an image file says of itself before it is decoded: its format, size, depth, and whether it is whole."""

from __future__ import annotations

import io
import re
import struct
import zlib
from functools import lru_cache

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

_OPENCV_ONLY = (
    ("Radiance HDR", re.compile(rb"#\?RADIANCE|#\?RGBE")),
    ("Sun raster", re.compile(rb"\x59\xa6\x6a\x95")),
    ("OpenEXR", re.compile(rb"\x76\x2f\x31\x01")),
    ("PAM", re.compile(rb"P7\s")),
    ("PFM", re.compile(rb"P[Ff]\s")),
    ("JPEG XL", re.compile(rb"\xff\x0a|\0\0\0\x0cJXL ")),
    ("AVIF", re.compile(rb"\0\0\0.ftypavi[fs]", re.DOTALL)),
)
"""Formats of OpenCV that a build of Pillow may lack."""

_OTHERS = (
    ("HEIC", re.compile(rb".{4}ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)),
    ("camera raw", re.compile(rb".{4}ftypcrx |II\*\0.{4}CR|FUJIFILMCCD-RAW|IIR[OS]|MMOR|IIU\0|FOVb|\0MRM", re.DOTALL)),
    ("DICOM", re.compile(rb".{128}DICM", re.DOTALL)),
    ("NIfTI", re.compile(rb".{344}n(?:i1|\+1)\0", re.DOTALL)),
    ("NRRD", re.compile(rb"NRRD000")),
    ("FITS", re.compile(rb"SIMPLE  =")),
    ("Photoshop", re.compile(rb"8BPS\0")),
    ("JPEG XR", re.compile(rb"II\xbc[\0\x01]")),
    ("DirectDraw", re.compile(rb"DDS \x7c\0\0\0")),
    ("icon", re.compile(rb"\0\0[\1\2]\0.\0", re.DOTALL)),
    ("SVG", re.compile(rb"\s*(?:<\?xml[^>]{0,200}>\s*)?<svg[\s>]", re.IGNORECASE)),
    ("PDF", re.compile(rb"%PDF-")),
    ("video", re.compile(rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ", re.DOTALL)),
)
"""Formats that people keep pictures in and that are not read; messages name them. Camera raw files that are TIFF:
`check_depth`."""

DNG_VERSION, SUBFILE_TYPE = 50706, 254
"""Tags of a TIFF: the first is only in a camera's raw file; the second says whether an image is a small preview."""

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
    """Whether Pillow or OpenCV would take these bytes for an image, by its header; nothing is decoded (0.1 ms).

    The last answers about short members are kept: a sample is asked about more than once, and labels repeat.
    """
    return _short_looks_like_image(data) if len(data) <= SHORT else _looks_like_image(data)


SHORT = 4096
"""Bytes of the longest member whose answer is kept."""


@lru_cache(maxsize=512)
def _short_looks_like_image(data: bytes) -> bool:
    return _looks_like_image(data)


def _looks_like_image(data: bytes) -> bool:
    # `BM` and `P1 ` may begin a text: these two need a whole header.
    if image_extension(data) not in (None, "bmp", "ppm") or any(magic.match(data) for _, magic in _OPENCV_ONLY):
        return True
    try:
        Image.open(io.BytesIO(data)).close()
    except BOMB:
        return True
    except BROKEN:
        return False
    return True


def unread_format(data: bytes) -> str | None:
    """Name of a format that is known and not read; None for anything else."""
    start = data[:512]
    return next((name for name, magic in (*_OPENCV_ONLY, *_OTHERS) if magic.match(start)), None)


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


def checked_bytes(data: bytes, extension: str, max_pixels: int) -> bytes:
    """Check what Pillow does not check, or only after it has allocated the canvas.

    Returns:
        The bytes to open: of a PNG those chunks that have a part in its pixels, of all else the whole.

    Raises:
        SampleError: `decompression-bomb`.
        EOFError: the file ends early.
        ValueError: a checksum is wrong.
    """
    if extension == "png":
        if data[12:16] == b"IHDR" and len(data) >= 24:
            width, height = struct.unpack(">II", data[16:24])
            check_size((width, height), max_pixels)
        return _png_pixels(data)
    if extension == "webp":
        size = _webp_size(data)
        if size is not None:
            check_size(size, max_pixels)
        whole = 8 + int.from_bytes(data[4:8], "little")
        if len(data) < whole:
            raise EOFError(f"its header says {whole} bytes")
    elif extension == "jp2" and b"\xff\xd9" not in data[-64:]:
        raise EOFError("no end-of-codestream marker")
    return data


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


def _png_pixels(data: bytes) -> bytes:
    """A PNG without the chunks that say nothing of its pixels, however large or damaged those are.

    Pillow refuses text and colour profiles of over 1 MB, and a wrong checksum of any chunk; whoever shows the picture
    passes them by. It takes a PNG whose end is missing, and does not check the sums of pixel data.
    """
    position, kept = 8, [slice(0, 8)]
    while position + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        end = position + 12 + length
        if end > len(data):
            break
        needed = not kind[0] & 0x20 or kind in (b"tRNS", b"acTL", b"fcTL", b"fdAT")  # a capital: it must be understood
        if needed or kind == b"eXIf":
            whole = zlib.crc32(memoryview(data)[position + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
            if needed and not whole:
                raise ValueError(f"the checksum of chunk {kind.decode('latin-1')} at byte {position} is wrong")
            if whole and kept[-1].stop == position:
                kept[-1] = slice(kept[-1].start, end)
            elif whole:
                kept.append(slice(position, end))
        if kind == b"IEND":
            return data if kept == [slice(0, len(data))] else b"".join(memoryview(data)[part] for part in kept)
        position = end
    raise EOFError("no IEND chunk")


def check_depth(data: bytes, extension: str, image: ImageFile.ImageFile) -> None:
    """Refuse what Pillow would silently cut down to 8 bits (16-bit PNG apart, which is not decoded with Pillow).

    Also a TIFF whose first image is a preview: it is a camera's raw file, whose picture lies elsewhere in it.

    Raises:
        SampleError: `unsupported-mode`.
    """
    depth = 8
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        if DNG_VERSION in tags or tags.get(SUBFILE_TYPE, 0) & 1:
            raise unsupported("the format camera raw")
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
