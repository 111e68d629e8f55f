"""Countermeasures that change every image, of training and of test: a transformation of pixels, or another size.

Shapes: H×W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stages.countermeasures.countermeasure import Countermeasure, Data
from stages.learning.table import ImageTable
from stages.transforms.pixels import Transform


@dataclass(frozen=True)
class Squeezed(Countermeasure):
    """Every image, of training and of test, goes through one transformation.

    A transformation of pixels as a countermeasure: the attacker's model sees everything through it.

    It is applied to the victim's images, at the victim's resolution, and to test images too. An attacker who squeezes
    the training images does the same to the images that the model later sees.
    """

    transform: Transform

    def changed(self, data: Data) -> Data:
        """Both tables transformed."""
        return replace(data, train=transformed(data.train, self.transform), test=transformed(data.test, self.transform))


def transformed(table: ImageTable, transform: Transform) -> ImageTable:
    """The table with every image transformed; its row stands for its key."""
    chunks, row = [], 0
    for chunk in table.chunks:
        chunks.append(np.stack([transform(image, str(row + offset)) for offset, image in enumerate(chunk)]))
        row += len(chunk)
    return replace(table, chunks=tuple(chunks))


@dataclass(frozen=True)
class Scaled(Countermeasure):
    """Both tables at `scale` times their side, rounded to a multiple of 4.

    Training at another size: the attacker makes all images smaller or larger before the model sees them.

    Attackers resize as a matter of course, and protection at one scale says nothing about another (docs/method.md).
    """

    scale: float

    @property
    def cost(self) -> float:
        """As the number of pixels."""
        return self.scale**2

    def resolution(self, side: int) -> int:
        """The side in pixels that the victim sees instead of `side`."""
        return max(4, round(side * self.scale / 4) * 4)

    def changed(self, data: Data) -> Data:
        """Bilinear with antialiasing, as tables are made; of labels the nearest pixel."""
        side = self.resolution(data.train.chunks[0].shape[1])
        train, test = (table.resized(side, data.kinds) for table in (data.train, data.test))
        return replace(data, train=train, test=test)
