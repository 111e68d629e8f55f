"""Reading IDX files, the format of MNIST and Fashion-MNIST, with every length checked against the header."""

import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.errors import ConfigError, InputError

Bytes = npt.NDArray[np.uint8]

SIDE = 28  # of an image, in pixels
CLASSES = 10
FILE_STEMS = {"train": "train", "test": "t10k"}
UNSIGNED_BYTES = 0x08  # the header's code of the element type; the one that these datasets use


class Products(NamedTuple):
    """Images with a label each."""

    images_NHW: Bytes
    """(N, 28, 28), 0..255; 0 is background."""
    labels_N: Bytes
    """(N,), 0..9."""


def read_products(source: Path, split: str) -> Products:
    """Read the images and labels of a split (`train` or `test`) from a folder of IDX files, gzipped or not.

    Raises:
        ConfigError: the folder or one of its files is not there.
        InputError: a file is damaged, or is not what its name says.
    """
    stem = FILE_STEMS[split]
    images_path = _find(source, f"{stem}-images-idx3-ubyte")
    labels_path = _find(source, f"{stem}-labels-idx1-ubyte")
    images_NHW, labels_N = read_idx(images_path, dimensions=3), read_idx(labels_path, dimensions=1)
    if images_NHW.shape[1:] != (SIDE, SIDE):
        height, width = images_NHW.shape[1:]
        raise InputError(f"{images_path}: images are {height}x{width} pixels, expected {SIDE}x{SIDE}; {_AGAIN}")
    if len(images_NHW) != len(labels_N):
        raise InputError(
            f"{labels_path} has {len(labels_N)} labels, but {images_path} has {len(images_NHW)} images: "
            "the two are not of one dataset; fetch both again"
        )
    if not len(labels_N):
        raise InputError(f"{images_path} has no images, expected at least 1; {_AGAIN}")
    wrong = np.flatnonzero(labels_N >= CLASSES)
    if len(wrong):
        raise InputError(
            f"{labels_path}: label {wrong[0]} is {labels_N[wrong[0]]}, outside 0..{CLASSES - 1} "
            f"({len(wrong)} such labels); {_AGAIN}"
        )
    return Products(images_NHW, labels_N)


def read_idx(path: Path, *, dimensions: int) -> Bytes:
    """Read an IDX file of unsigned bytes; a name that ends in `.gz` is decompressed.

    Returns:
        A read-only array with that number of dimensions, in the header's shape.

    Raises:
        InputError: the header or the length is wrong, or the file cannot be decompressed.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be decompressed ({error}); {_AGAIN}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the file and its permissions") from None
    start = 4 + 4 * dimensions
    magic = bytes((0, 0, UNSIGNED_BYTES, dimensions))
    if data[:4] != magic:
        raise InputError(
            f"{path} starts with {data[:4].hex(' ') or 'nothing'}, expected {magic.hex(' ')} "
            f"(IDX, unsigned bytes, {dimensions} dimension{'s' * (dimensions > 1)}); {_AGAIN}"
        )
    if len(data) < start:
        raise InputError(f"{path} is cut off inside its header: {len(data)} bytes, expected at least {start}; {_AGAIN}")
    shape = [int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4)]
    expected = start + int(np.prod(shape, dtype=object))
    if len(data) != expected:
        raise InputError(
            f"{path} has {len(data)} bytes, but its header (shape {'x'.join(map(str, shape))}) asks for {expected}: "
            f"it is {'cut off' if len(data) < expected else 'longer than it says'}; {_AGAIN}"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


_AGAIN = "fetch the file again"


def _find(source: Path, name: str) -> Path:
    for path in (source / name, source / f"{name}.gz"):
        if path.is_file():
            return path
    expected = [f"{stem}-{kind}-ubyte" for stem in FILE_STEMS.values() for kind in ("images-idx3", "labels-idx1")]
    where = f"{source} has no {name}[.gz]" if source.is_dir() else f"{source} is not a folder"
    raise ConfigError(f"{where}; expected a folder with the four IDX files, gzipped or not: {', '.join(expected)}")
