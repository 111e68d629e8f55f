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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from schemas.errors import ConfigError
from schemas.records import ManifestShard
from stages.datasets.idx import SIDE, Bytes, Products, read_products
from stages.datasets.packing import PackedSample, Parameters, pack_shards
from stages.io.store.store import Store

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


def import_multifashion(
    source: Path,
    store: Store,
    *,
    train: int = 60_000,
    test: int = 10_000,
    size: int = CANVAS,
    seed: int = 0,
    mode: Literal["L", "RGB"] = "L",
    shard_samples: int = 1000,
    on_shard: Callable[[ManifestShard], None] | None = None,
) -> list[ManifestShard]:
    """Build MultiFashion and write it into shards named `train-00000.tar` … and `test-00000.tar`.

    Members of a sample: `png`, 8 bits, size×size; `json`, `{"left": 0..9, "right": 0..9}`. A complete import with
    the same arguments and source files writes nothing (see `pack_shards`).

    Args:
        source: folder with Fashion-MNIST's four IDX files, gzipped or not.
        store: where the shards go.
        train: pictures in the training split.
        test: pictures in the test split.
        size: side of a picture in pixels; other than 36 it is resized (bilinear, antialiased).
        seed: decides the pairs; picture i of a split is the same whatever the number of pictures.
        mode: `L`, one channel, or `RGB`, three equal ones, as most training code wants them; the perturbation of an
            `RGB` image may be coloured.
        shard_samples: pictures in a shard.
        on_shard: called after each shard is in the store.

    Returns:
        The shards of both splits, in order.

    Raises:
        ConfigError: an argument is out of range, a source file is missing, or the place holds something else.
        InputError: a source file is damaged or is not what its name says.
    """
    counts = {"train": train, "test": test}
    for name, value, least in (("train", train, 1), ("test", test, 1), ("size", size, 16), ("seed", seed, 0)):
        if value < least:
            raise ConfigError(f"{name} must be at least {least}; found {value}")
    products = {split: read_products(source, split) for split in counts}  # checked before anything is written
    shards: list[ManifestShard] = []
    for split, count in counts.items():
        parameters: Parameters = {
            "dataset": "multifashion",
            "split": split,
            "samples": count,
            "size": size,
            "seed": seed,
            "mode": mode,
            "source": _digest(products[split]),
        }
        shards += pack_shards(
            multifashion_samples(products[split], count, split=split, seed=seed, size=size, mode=mode),
            store,
            split,
            shard_samples=shard_samples,
            parameters=parameters,
            on_shard=on_shard,
        )
    return shards


def multifashion_samples(
    products: Products,
    count: int,
    *,
    split: str = "train",
    seed: int = 0,
    size: int = CANVAS,
    mode: Literal["L", "RGB"] = "L",
) -> Iterator[PackedSample]:
    """Yield key and members (`png`, `json`) of pictures 0 .. count - 1 of a split."""
    for index in range(count):
        pixels_HW, labels = draw_pair(products, index, split=split, seed=seed, size=size)
        encoded = io.BytesIO()
        Image.fromarray(pixels_HW).convert(mode).save(encoded, "PNG")
        yield f"{split}-{index:06d}", [("png", encoded.getvalue()), ("json", json.dumps(labels).encode())]


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
