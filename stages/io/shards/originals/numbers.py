"""Numbers that are an image: a list of pixels in JSON, in a text or in a Parquet column.

Legend: H rows, W columns, C channels of a picture; N numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

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

    1. N is H·W·C of the sample's own image, give or take 5 % (or 8 numbers), with C of `CHANNELS`. Then they are pixels
       if they are whole numbers, or whole after a multiplication by 255, or take few values. Pixels of 8 bits take at
       most 256 values for each channel, however they are scaled. Two values are enough only where N is exact.
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
    return any(are_whole(values * scale) for scale in (1, 255)) or (distinct <= 768 and 2 * distinct <= len(values))


def are_whole(values: Floats) -> bool:
    """Whether all are whole numbers, give or take what rounding leaves."""
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
