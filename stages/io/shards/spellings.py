"""Spellings of an image that are no image file: bytes written as text, and numbers in JSON, text or a Parquet column.

Legend: H rows, W columns, C channels of a picture; N numbers.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from stages.io.images.formats import image_extension

_UNBROKEN = re.compile(r"(?<![!-~])[!-~]{64,}")
_RUN = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{64,}")
_BREAK = re.compile(r"(?:\\r|\\n|\r|\n)++(?=[!-~])")
_ESCAPE = re.compile(r"\\+x[0-9a-fA-F]{2}|\\+u00[0-9a-fA-F]{2}|[%=][0-9a-fA-F]{2}")
_UUENCODED = re.compile(r"(?:^M[ -`]{56,60}\s*$\s*){3}", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")

LONG_RUN = 1000
"""Letters of an unbroken run that is taken for encoded bytes, whatever they are; a checksum has 128."""

ESCAPES = 256
"""Escaped bytes in one text that are taken for encoded bytes; an address in another script has fewer."""

DENSE = 5.8
"""Bits of each letter of a long run, by the frequency of its letters: ASCII85 has 6.3, base64 6, words and masks 5."""

_CERTAIN = {"jpg", "png", "webp", "gif", "tiff", "jp2"}
"""Formats whose first bytes are too many to be there by chance."""

_PACKED = re.compile(
    rb"\x1f\x8b\x08|PK\x03\x04|BZh[1-9]1AY&SY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd|\x93NUMPY|\x80[\x02-\x05]\x95|BLOSC"
)
"""gzip, zip, bzip2, xz, zstd, numpy and pickle."""


def encoded_bytes(text: str) -> Iterator[str]:
    """What in a text is encoded bytes, in words: an image, compressed bytes, or a run too long for anything else."""
    for word in _UNBROKEN.finditer(_without_breaks(text.replace("\\/", "/"))):
        for run in _RUN.finditer(word[0]):
            if found := _known(run[0][:64]):
                yield f"{found} in encoded form ({start_of(run[0])})"
            kinds = sum(bool(re.search(kind, run[0])) for kind in ("[0-9]", "[a-z]", "[A-Z]"))
            if len(run[0]) >= LONG_RUN and kinds > 1:
                yield f"{len(run[0])} letters of encoded bytes ({start_of(run[0])})"
        if len(word[0]) >= LONG_RUN and _bits(word[0][:4096]) >= DENSE:
            yield f"{len(word[0])} letters of encoded bytes ({start_of(word[0])})"
    if sum(map(text.count, "%=\\")) >= ESCAPES and sum(1 for _ in _ESCAPE.finditer(text)) >= ESCAPES:
        yield "bytes written as escapes"
    if "\nM" in text and _UUENCODED.search(text):
        yield "bytes written by uuencode"
    if len(_CONTROL.findall(text[:4096])) >= 16:
        yield "bytes written as letters"


def _without_breaks(text: str) -> str:
    """A text whose long unbroken lines are one: base64 and ASCII85 are often wrapped."""

    def joined(found: re.Match[str]) -> str:
        before = text[max(0, found.start() - 60) : found.start()]
        return "" if len(before) == 60 and len(before.split()) == 1 and before[0] > " " else found[0]

    return _BREAK.sub(joined, text) if "\n" in text or "\r" in text or "\\" in text else text


def chunks_of_one(parts: list[str]) -> Iterator[str]:
    """What a list of texts of one length is, when they are parts of one encoded file."""
    parts = [part for part in parts if part]
    if len(parts) > 1 and len(parts[0]) >= 16 and len({len(part) for part in parts[:-1]}) == 1:
        start = "".join(parts[:4])[:64]
        if found := _known(start):
            yield f"{found} in encoded form, in {len(parts)} parts ({start_of(start)})"


def _known(start: str) -> str | None:
    """What the first letters of a run are; they are decoded in every way that there is."""
    whole = start[: len(start) // 4 * 4]
    decoders: tuple[Callable[[str], bytes], ...] = (
        bytes.fromhex,
        base64.b64decode,
        base64.urlsafe_b64decode,
        base64.b85decode,
    )
    for decode in decoders:
        try:
            data = decode(whole)
        except (ValueError, binascii.Error):
            continue
        if image_extension(data) in _CERTAIN:
            return "an image"
        if _PACKED.match(data) or _is_deflated(data):
            return "compressed bytes"
    return None


def _is_deflated(data: bytes) -> bool:
    """Whether zlib takes it; the check of its header alone passes by chance."""
    if data[:1] != b"\x78":
        return False
    try:
        return bool(zlib.decompressobj().decompress(data)) or len(data) < 64
    except zlib.error:
        return False


def _bits(text: str) -> float:
    """Entropy of a text's letters, in bits."""
    total = len(text)
    return -sum(count / total * math.log2(count / total) for count in Counter(text).values())


def start_of(text: str) -> str:
    """The start of a long text, for a message."""
    return text if len(text) <= 40 else f"{text[:37]}…"


Floats = npt.NDArray[np.float64]
Size = tuple[int, int]
"""H and W of the sample's image."""

FEWEST = 64
"""Numbers that are looked at: an image of 8×8."""

CHANNELS = (1, 2, 3, 4)
"""Numbers for each pixel: gray, gray and alpha, RGB, RGBA."""

CLOSE = 0.05
"""Share by which a list may be longer or shorter than an image: a label, or a number of each row, may be among them."""

SLACK = 8
"""Numbers by which it may differ in any case."""

SMALLEST = 12
"""Shortest side of a smaller or larger copy that is recognised."""

ALIKE = 0.5
"""Correlation of neighbours in both directions from which on numbers are a picture."""

SEPARATED = re.compile(r"(?<![0-9a-fA-FxX#%+\-.,;:|/\s()\[\]{}\"'])[0-9a-fA-FxX#%+\-.,;:|/\s()\[\]{}\"']{24,}")
"""A run of numbers, decimal or hexadecimal, with all that may stand between them."""

_SEPARATORS = str.maketrans(dict.fromkeys("#%,;:|/()[]{}\"'", " "))
_DECIMAL = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_HEXADECIMAL = re.compile(r"(?:0[xX])?[0-9a-fA-F]{1,8}")


def pixels_in(numbers: Floats, size: Size | None, rows: int = 0) -> bool:
    """Whether N numbers are an image: the sample's own, or a smaller or larger copy of one.

    The rule has two parts; less than 64 numbers are never an image.

    1. N is H·W·C of the sample's own image, give or take 5 % (or 8 numbers), with C of `CHANNELS`. Then they are
       pixels if they are whole numbers, or whole after a multiplication by 255, or take few values (pixels of 8 bits
       take at most 256 for each channel, however they are scaled). Two values are enough only where N is exact.
    2. N is h·w·C of a picture with both sides of 12 or more: with the image's proportions, square, or with as many
       rows as the list has. Then they are pixels if neighbours in both directions are alike.

    So landmarks, boxes and scores pass by their number. Embeddings pass even where their number fits: they are not
    whole, take as many values as there are numbers, and neighbours are not alike.

    Args:
        numbers: N, in the order stored; NaN stands for null.
        size: of the sample's image; None when it is not known, and then part 1 does not apply.
        rows: equal parts in which they are stored; 0 when there are none.
    """
    count = len(numbers)
    if count < FEWEST:
        return False
    own = size is not None and any(_is_close(count, size[0] * size[1] * each) for each in CHANNELS)
    shapes = [*_shapes(count, size, rows)]
    if not own and not shapes:
        return False
    values = np.nan_to_num(numbers, nan=0.0, posinf=0.0, neginf=0.0)
    exact = size is not None and any(count == size[0] * size[1] * each for each in CHANNELS)
    return (own and _has_values_of_pixels(values, exact)) or any(_is_picture(values, *shape) for shape in shapes)


def _is_close(count: int, whole: int) -> bool:
    return abs(count - whole) <= max(CLOSE * whole, SLACK)


def _has_values_of_pixels(values: Floats, exact: bool) -> bool:
    distinct = len(np.unique(values))
    if distinct < 2 or (distinct == 2 and not exact):
        return False
    return any(_are_whole(values * scale) for scale in (1, 255)) or (distinct <= 768 and 2 * distinct <= len(values))


def _are_whole(values: Floats) -> bool:
    return bool((np.abs(values - np.rint(values)) < 0.02).all())


def _shapes(count: int, size: Size | None, rows: int) -> Iterator[tuple[int, int]]:
    """(columns, channels) of the pictures that N numbers may be."""
    for channels in (1, 3, 4):
        if count % channels:
            continue
        pixels = count // channels
        if rows >= SMALLEST and pixels % rows == 0 and pixels // rows >= SMALLEST:
            yield pixels // rows, channels
        sides = {(1, 1)} if size is None else {(1, 1), size, size[::-1]}
        for tall, wide in sorted(sides):
            for height in {math.floor(math.sqrt(pixels * tall / wide)), math.ceil(math.sqrt(pixels * tall / wide))}:
                if height < SMALLEST or pixels % height or pixels // height < SMALLEST:
                    continue
                if abs(pixels // height - height * wide / tall) < 1:
                    yield pixels // height, channels


def _is_picture(values: Floats, columns: int, channels: int) -> bool:
    """Whether neighbours are alike, and more so one row away than half a row away, which those of a curve are not."""
    flat_NC = values.reshape(-1, channels)
    flat_NC = flat_NC - flat_NC.mean(axis=0)
    power = float(np.square(flat_NC).mean())
    if power <= 1e-12:
        return False

    def alike(distance: int) -> float:
        return float((flat_NC[distance:] * flat_NC[:-distance]).mean()) / power

    below = alike(columns)
    return alike(1) >= ALIKE and below >= ALIKE and below > alike(columns // 2)


def numbers_of(tokens: list[str]) -> Floats:
    """The numbers among the words of a run, decimal, or hexadecimal where most are not decimal."""
    try:
        return np.array(tokens, np.float64)
    except ValueError:
        decimal = [token for token in tokens if _DECIMAL.fullmatch(token)]
    if 10 * len(decimal) >= 9 * len(tokens):
        return np.array(decimal, np.float64)
    return np.array([int(token, 16) for token in tokens if _HEXADECIMAL.fullmatch(token)], np.float64)


def runs_of(text: str) -> Iterator[tuple[list[str], int]]:
    """The words of every run of numbers in a text, and the lines of the run."""
    if sum(map(text.count, "0123456789")) < FEWEST:
        return
    for run in SEPARATED.finditer(text):
        yield run[0].translate(_SEPARATORS).split(), len(run[0].strip().splitlines())
