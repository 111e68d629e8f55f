"""Large images on the disk while something else needs the memory; small ones stay where they are.

Shapes: H×W×C pixels as stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8 | np.uint16]
"""H×W×C, C = 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA)."""

LARGE_PIXELS = 8 * 2**20
"""From this H·W on an image is kept on the disk: 24 MB of RGB."""


class KeptPixels:
    """An image in a temporary file, read by rows: `kept[10:20]` is an array of ten rows."""

    def __init__(self, file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.file, self.shape, self.dtype = file, shape, dtype

    def __getitem__(self, rows: slice) -> Pixels:
        start, stop, _ = rows.indices(self.shape[0])
        row = self.shape[1] * self.shape[2]
        self.file.seek(start * row * self.dtype.itemsize)
        values: Pixels = np.fromfile(self.file, dtype=self.dtype, count=(stop - start) * row)
        return values.reshape(stop - start, *self.shape[1:])


@contextmanager
def kept_pixels(pixels_HWC: Pixels) -> Iterator[Pixels | KeptPixels]:
    """The image itself, or, where it is large, its copy on the disk: the caller must hold no other reference."""
    if pixels_HWC.shape[0] * pixels_HWC.shape[1] < LARGE_PIXELS:
        yield pixels_HWC
        return
    with TemporaryFile(prefix="mtlue-pixels-") as file:
        pixels_HWC.tofile(file)
        kept = KeptPixels(file, pixels_HWC.shape, pixels_HWC.dtype)
        del pixels_HWC
        yield kept


def gathered(parts: Iterable[Pixels]) -> Pixels:
    """Strips of rows as one image, through a temporary file: when the last part is taken, its source may go.

    Without the file the source and the image would be in memory at once, in Pillow's case 4 + 3 bytes a pixel.
    """
    with TemporaryFile(prefix="mtlue-pixels-") as file:
        height = 0
        for part in parts:
            part.tofile(file)
            height += part.shape[0]
            shape, dtype = part.shape[1:], part.dtype
        file.seek(0)
        pixels: Pixels = np.fromfile(file, dtype=dtype)
        return pixels.reshape(height, *shape)
