"""Training at another size: the attacker makes all images smaller or larger before the model sees them.

Attackers resize as a matter of course, and protection at one scale says nothing about another (docs/method.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stages.countermeasures.base import Countermeasure, Data
from stages.io.images.pixels import canonical_view
from stages.learning.table import ImageTable


@dataclass(frozen=True)
class Scaled(Countermeasure):
    """Both tables at `scale` times their side, rounded to a multiple of 4."""

    scale: float

    @property
    def cost(self) -> float:
        """As the number of pixels."""
        return self.scale**2

    def resolution(self, side: int) -> int:
        """The side in pixels that the victim sees instead of `side`."""
        return max(4, round(side * self.scale / 4) * 4)

    def changed(self, data: Data) -> Data:
        """Bilinear with antialiasing, as tables are made."""
        train, test = (self._resized(table) for table in (data.train, data.test))
        return replace(data, train=train, test=test)

    def _resized(self, table: ImageTable) -> ImageTable:
        side = self.resolution(table.chunks[0].shape[1])
        chunks = tuple(np.stack([canonical_view(image, side) for image in chunk]) for chunk in table.chunks)
        return replace(table, chunks=chunks)
