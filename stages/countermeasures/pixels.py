"""A transformation of pixels as a countermeasure: the attacker's model sees everything through it.

It is applied to the victim's images, at the victim's resolution; test images too, since an attacker who squeezes the
images that the model learns from does the same to those that the model is asked about.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stages.countermeasures.countermeasure import Countermeasure, Data
from stages.learning.table import ImageTable
from stages.transforms.pixels import Transform


@dataclass(frozen=True)
class Squeezed(Countermeasure):
    """Every image, of training and of test, goes through one transformation."""

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
