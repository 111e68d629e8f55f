"""The drawn datasets that protection is measured on; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from schemas.tasks import Task
from stages.adapters.drawn.multifashion import draw_pair, read_products
from stages.adapters.drawn.outlines import CLASSES, draw_outlines
from stages.learning.table import ImageTable

ATTRIBUTES: dict[str, Callable[[str], bool]] = {
    "star": lambda outline: outline.endswith("star"),
    "threefold": lambda outline: outline in ("triangle", "hexagon", "three-pointed star", "six-pointed star"),
    "few-corners": lambda outline: outline in ("triangle", "square", "three-pointed star", "four-pointed star"),
    "odd": lambda outline: outline in ("triangle", "pentagon", "three-pointed star", "five-pointed star"),
}
"""What can be said of an outline with yes or no."""


class Dataset(NamedTuple):
    """Drawn pictures of two splits, and what is learned from them."""

    tasks: list[Task]
    side: int
    """Of a picture, in pixels."""
    train: ImageTable
    test: ImageTable
    name: str = ""
    """In the fingerprints of cells, where tasks and side do not tell datasets apart."""
    augment: tuple[str, ...] = ("crop",)
    """How trainings and victims augment its pictures."""


Draw = Callable[[int, str], tuple[np.ndarray, dict[str, int]]]
"""Index and split → a picture, H×W×3 uint8, and its labels."""


def multifashion(source: Path) -> Dataset:
    """6,000 + 2,000 as `mtlue import multifashion --size 32 --rgb` draws them; two tasks of ten classes.

    Args:
        source: folder with Fashion-MNIST's four IDX files.
    """
    products = {split: read_products(source, split) for split in ("train", "test")}

    def draw(index: int, split: str) -> tuple[np.ndarray, dict[str, int]]:
        pixels, labels = draw_pair(products[split], index, split=split, size=32)
        return np.repeat(pixels[..., None], 3, axis=2), {name: labels[name] for name in ("left", "right")}

    return _dataset(draw, (6000, 2000), classes=10)


def outlines(bodies: int) -> Dataset:
    """4,000 + 600 as `mtlue import outlines` draws them; a task of ten classes a body; more than two need 48 px."""
    side = 32 if bodies <= 2 else 48
    return _dataset(
        lambda index, split: draw_outlines(index, split=split, size=side, tasks=bodies), (4000, 600), classes=10
    )


def large_outlines(bodies: int) -> Dataset:
    """3,000 + 600 of 64 px."""
    return _dataset(
        lambda index, split: draw_outlines(index, split=split, size=64, tasks=bodies), (3000, 600), classes=10
    )


def attributes(tasks: int) -> Dataset:
    """The same pictures of two bodies with the first 1..8 of eight yes/no tasks: each of `ATTRIBUTES` of each body."""

    def draw(index: int, split: str) -> tuple[np.ndarray, dict[str, int]]:
        pixels, labels = draw_outlines(index, split=split, size=32, tasks=2)
        told = {
            f"{body}-{name}": int(holds(CLASSES[label]))
            for name, holds in ATTRIBUTES.items()
            for body, label in labels.items()
        }
        return pixels, dict(list(told.items())[:tasks])

    return _dataset(draw, (4000, 600), classes=2)


def _dataset(draw: Draw, counts: tuple[int, int], *, classes: int) -> Dataset:
    """So many pictures for training and for tests."""
    names = list(draw(0, "train")[1])
    tables = []
    for split, count in zip(("train", "test"), counts, strict=True):
        drawn = [draw(index, split) for index in range(count)]
        columns = np.array([[label[name] for name in names] for _, label in drawn], dtype=np.int64).T
        images = np.stack([pixels for pixels, _ in drawn])
        tables.append(ImageTable((images,), tuple(column.copy() for column in columns), np.zeros(count, dtype=bool)))
    tasks = [Task(field=f"json.{name}", classes=classes) for name in names]
    return Dataset(tasks, tables[0].chunks[0].shape[1], *tables)
