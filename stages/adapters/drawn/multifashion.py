"""MultiFashion: two overlapping Fashion-MNIST products in one picture, and a task for each, the left and the right one.

The construction of Lin et al., "Pareto Multi-Task Learning" (NeurIPS 2019). One 28×28 product lies in the top left of a
36×36 canvas, another in the bottom right. Where they overlap the brighter pixel wins. The pairs are our own: both
products are drawn independently, so that neither label says anything about the other. Figures that were published on
the files of that paper therefore compare roughly, not exactly. A test picture is built from test products only. The
products are read from IDX files, the format of MNIST and Fashion-MNIST; every length is checked against the header.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from schemas.errors import ConfigError, InputError
from schemas.imports import Parameters
from stages.adapters.adapter import Checked, Members, OnDisk
from stages.adapters.drawn.drawn import Drawn

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


CANVAS = 36  # side in pixels: the products lie 8 pixels apart in both directions

CLASS_NAMES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
"""Fashion-MNIST's classes 0..9, of both tasks."""


class MultiFashion(OnDisk, Drawn):
    """MultiFashion: two overlapping Fashion-MNIST products an image, tasks `left` and `right` of ten classes.

    Members of a sample: `png`, 8 bits, size×size; `json`, `{"left": 0..9, "right": 0..9}`.
    """

    name: ClassVar[str] = "multifashion"
    shard_samples: ClassVar[int] = 1000

    source: Path
    """Directory with the four Fashion-MNIST IDX files, gzipped or not."""

    train: int = Field(default=60_000, ge=1)
    test: int = Field(default=10_000, ge=1)
    size: int = Field(default=CANVAS, ge=16)
    rgb: bool = False
    """Three equal channels; the perturbation may be coloured."""

    def check(self) -> Checked:
        """Read the products of both splits."""
        _products.cache_clear()
        digests: Parameters = {f"{split}_source": _digest(_products(self.source, split)) for split in ("train", "test")}
        return Checked(digests, self.train + self.test)

    def draw(self, split: str, index: int) -> Members:
        """Two products in one picture."""
        products = _products(self.source, split)
        pixels_HW, labels = draw_pair(products, index, split=split, seed=self.seed, size=self.size)
        file = io.BytesIO()
        Image.fromarray(pixels_HW).convert("RGB" if self.rgb else "L").save(file, "PNG")
        return [("png", file.getvalue()), ("json", json.dumps(labels).encode())]


@lru_cache(maxsize=2)
def _products(source: Path, split: str) -> Products:
    return read_products(source, split)


def draw_pair(
    products: Products, index: int, *, split: str = "train", seed: int = 0, size: int = CANVAS
) -> tuple[Bytes, dict[str, int]]:
    """Return picture `index`, (size, size) uint8 in 0..255, and its labels `left` (the top left) and `right`."""
    generator = np.random.default_rng(np.random.SeedSequence((seed, zlib.crc32(split.encode()), index)))
    left, right = (int(choice) for choice in generator.integers(len(products.labels_N), size=2))
    canvas_HW = overlay(products.images_NHW[left], products.images_NHW[right])
    if size != CANVAS:
        resized = Image.fromarray(canvas_HW).resize((size, size), Image.Resampling.BILINEAR)
        canvas_HW = np.asarray(resized, np.uint8)
    return canvas_HW, {"left": int(products.labels_N[left]), "right": int(products.labels_N[right])}


def overlay(left_HW: Bytes, right_HW: Bytes) -> Bytes:
    """Lay two 28×28 products into a 36×36 canvas, top left and bottom right; the brighter pixel wins."""
    canvas_HW = np.zeros((CANVAS, CANVAS), np.uint8)
    canvas_HW[:SIDE, :SIDE] = left_HW
    corner_HW = canvas_HW[-SIDE:, -SIDE:]
    np.maximum(corner_HW, right_HW, out=corner_HW)
    return canvas_HW


def _digest(products: Products) -> str:
    """Return the SHA-256 of a split's images and labels."""
    digest = hashlib.sha256(products.images_NHW.tobytes())
    digest.update(products.labels_N.tobytes())
    return digest.hexdigest()
