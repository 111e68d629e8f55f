"""Outlines: a seeded multi-task dataset that is drawn, not downloaded, so that a first run needs no network.

Each picture shows K bodies on a dark ground, one in each cell of a grid, at full contrast. They are polygons and stars
of any colour, turned, stretched, shaded and a little out of place. Task k is the outline of the k-th body, one of ten.
The bodies are drawn independently of each other, so colour, size and place say nothing about any label. It takes a
network some passes to tell a pentagon from a hexagon, as it takes some to tell a shirt from a coat.

Everything but the sensor noise is drawn in units of the picture's side: the same index at another size is the same
picture, finer.

Legend: H, W height and width in pixels; C red, green and blue; N vertices of an outline. A place is a complex number, x
+ iy in picture sides, x to the right and y down. Multiplication by exp(i angle) turns it.
"""

from __future__ import annotations

import colorsys
import math
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from stages.adapters.drawn.scenes import coverage

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.complex128]

CLASSES = (
    "triangle", "square", "pentagon", "hexagon", "disc",
    "four-pointed star", "five-pointed star", "six-pointed star", "eight-pointed star", "three-pointed star",
)  # fmt: skip

MAX_TASKS = 16

RADII = (0.3, 0.42)
"""Of the disc of a body's area, in sides of its cell."""

DRIFT = 0.1
"""Furthest that a body lies from the middle of its cell, in sides of the cell; as far as it has room."""

STRETCH = 0.25
"""Greatest logarithm of a body's stretching along any direction."""


def _regular(count: int) -> Places:
    return np.asarray(np.exp(2j * math.pi * np.arange(count) / count))


def _star(points: int, inner: float) -> Places:
    return _regular(2 * points) * np.where(np.arange(2 * points) % 2 == 0, 1, inner)


def _of_unit_area(outline_N: Places) -> Places:
    """The outline with the unit disc's area, so that the outline says nothing about the size."""
    x_N, y_N = outline_N.real, outline_N.imag
    area = 0.5 * abs(float(np.dot(x_N, np.roll(y_N, 1)) - np.dot(y_N, np.roll(x_N, 1))))
    return outline_N * math.sqrt(math.pi / area)


OUTLINES: tuple[Places, ...] = tuple(
    _of_unit_area(outline_N)
    for outline_N in (
        *(_regular(count) for count in (3, 4, 5, 6, 48)),
        *(_star(points, inner) for points, inner in ((4, 0.45), (5, 0.5), (6, 0.55), (8, 0.6), (3, 0.35))),
    )
)
"""One for each of `CLASSES`."""


def cells(tasks: int) -> list[tuple[complex, float]]:
    """Middle and side of each body's cell, in picture sides, row by row.

    Example:
        >>> [middle for middle, _ in cells(2)]
        [(0.25+0.5j), (0.75+0.5j)]
    """
    rows = [len(row) for row in np.array_split(np.arange(tasks), round(math.sqrt(tasks)))]
    side = 1 / max(len(rows), *rows)
    return [
        (complex((column + 0.5) / count, (row + 0.5) / len(rows)), side)
        for row, count in enumerate(rows)
        for column in range(count)
    ]


def draw_outlines(
    index: int, *, split: str = "train", seed: int = 0, size: int = 32, tasks: int = 2
) -> tuple[Pixels, dict[str, int]]:
    """Draw one picture, the same whatever else is drawn.

    Args:
        index: of the picture in its split, from 0.
        split: with seed and index it decides the picture.
        seed: not negative.
        size: side in pixels, from 16.
        tasks: K, 1..16.

    Returns:
        The picture, (size, size, 3) uint8 sRGB, and task `body-k` → an index of `CLASSES`.
    """
    generator = np.random.default_rng(np.random.SeedSequence((seed, zlib.crc32(split.encode()), tasks, index)))
    labels = {f"body-{number + 1}": int(generator.integers(len(CLASSES))) for number in range(tasks)}
    image_HWC = np.full((size, size, 3), generator.uniform(0, 0.08), np.float32)
    for label, (middle, side) in zip(labels.values(), cells(tasks), strict=True):
        _lay(image_HWC, generator, OUTLINES[label], middle, side)
    return _photograph(generator, image_HWC), labels


def _lay(image_HWC: Floats, generator: np.random.Generator, outline_N: Places, middle: complex, side: float) -> None:
    """Lay a body into the picture, in place: turned, stretched, shaded, stained."""
    size = image_HWC.shape[0]
    radius = generator.uniform(*RADII) * side
    centre = middle + side * complex(*generator.uniform(-DRIFT, DRIFT, 2))
    along, stretch = np.exp(1j * generator.uniform(0, math.pi)), math.exp(generator.uniform(-STRETCH, STRETCH))
    turned_N = outline_N * np.exp(1j * generator.uniform(0, 2 * math.pi))
    stretched_N = (turned_N.real * stretch + 1j * turned_N.imag / stretch) * along
    cover_HW1 = np.asarray(coverage(centre + radius * stretched_N, size), np.float32)[..., None] / 255
    hue, (saturation, brightness) = generator.uniform(), generator.uniform(0.4, 1.0, 2)
    colour_3 = np.array(colorsys.hsv_to_rgb(hue, saturation, 0.2 + 0.8 * brightness), np.float32)
    angle = generator.uniform(0, 2 * math.pi)
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    across_HW = (axis[None] - centre.real) * math.cos(angle) + (axis[:, None] - centre.imag) * math.sin(angle)
    stains = Image.fromarray(generator.standard_normal((7, 7), np.float32))
    stains_HW = np.asarray(stains.resize((size, size), Image.Resampling.BICUBIC))
    shade_HW = 1 + generator.uniform(-0.35, 0.35) * across_HW / radius + 0.1 * stains_HW
    image_HWC += cover_HW1 * (np.clip(colour_3 * shade_HW[..., None], 0, 1) - image_HWC)


def _photograph(generator: np.random.Generator, image_HWC: Floats) -> Pixels:
    """Take the picture: a little out of focus, with sensor noise; (H, W, 3) uint8."""
    picture = Image.fromarray((np.clip(image_HWC, 0, 1) * 255).astype(np.uint8))
    focused = picture.filter(ImageFilter.GaussianBlur(generator.uniform(0, 0.012) * image_HWC.shape[0]))
    noise_HWC = generator.standard_normal(image_HWC.shape, np.float32) * generator.uniform(1, 3)
    return np.clip(np.rint(np.asarray(focused, np.float32) + noise_HWC), 0, 255).astype(np.uint8)
