"""MultiFashion: two overlapping Fashion-MNIST products in one picture, and a task for each, the left and the right one.

The construction of Lin et al., "Pareto Multi-Task Learning" (NeurIPS 2019): one 28×28 product lies in the top left of a
36×36 canvas, another in the bottom right, and where they overlap the brighter pixel wins. The pairs are our own: both
products are drawn independently, so that neither label says anything about the other. Figures that were published on
the files of that paper therefore compare roughly, not exactly. A test picture is built from test products only.
"""

import hashlib
import io
import json
import zlib
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image
from pydantic import Field

from schemas.imports import Parameters
from stages.datasets.adapter import Checked, Members, OnDisk
from stages.datasets.drawn.drawn import Drawn
from stages.datasets.drawn.idx import SIDE, Bytes, Products, read_products

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
