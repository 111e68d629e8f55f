"""Originals in the attacker's hands: a few clean samples, or a whole part of the dataset that was never protected.

- clean samples: the attacker has a share of the originals with their labels and trains on them too, each so often that
  they are a fifth of all. APBench (Qin et al., 2023) calls it a mixture of clean and poisoned data.
- coverage: only a share of the dataset was protected. No attack but a mistake of publishing: partial coverage is known
  to undo most of a protection (Huang et al., 2021, section 5.3).

The control trains on the clean part alone. What a victim reaches beyond it, it learned from protected images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from stages.countermeasures.countermeasure import Countermeasure, Data
from stages.learning.table import ImageTable

WEIGHT = 0.2
"""Share of a pass that is clean samples."""


@dataclass(frozen=True)
class CleanSamples(Countermeasure):
    """The attacker adds a share of the originals to the protected images."""

    share: float

    @property
    def needs_originals(self) -> bool:
        """Always."""
        return True

    def changed(self, data: Data) -> Data:
        """Protected images and, again and again, the few originals; in the control the originals alone."""
        rows, alone = chosen(len(data.train), self.share, data.seed), data.clean is None
        few = subset(data.train if data.clean is None else data.clean, rows)
        if alone:
            return replace(data, train=few)
        times = max(1, round(WEIGHT / (1 - WEIGHT) * len(data.train) / len(few)))
        return replace(data, train=joined([data.train, *[few] * times]))


@dataclass(frozen=True)
class Coverage(Countermeasure):
    """Only a share of the images that the victim learns from is protected."""

    share: float

    @property
    def needs_originals(self) -> bool:
        """Always."""
        return True

    def changed(self, data: Data) -> Data:
        """Protected and clean images, each sample once; in the control the clean ones alone."""
        open_rows = chosen(len(data.train), 1 - self.share, data.seed)
        if data.clean is None:
            return replace(data, train=subset(data.train, open_rows))
        closed_rows = np.setdiff1d(np.arange(len(data.train)), open_rows)
        return replace(data, train=joined([subset(data.train, closed_rows), subset(data.clean, open_rows)]))


def chosen(count: int, share: float, seed: int) -> np.ndarray:
    """Rows, in order: a random share of them, two at least (batch norm needs two)."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).numpy()
    return np.sort(order[: max(2, round(share * count))])


def subset(table: ImageTable, rows: np.ndarray) -> ImageTable:
    """Some rows of a table, in memory."""
    return ImageTable((table.images(rows),), tuple(label[rows] for label in table.labels), table.gray_N[rows])


def joined(tables: list[ImageTable]) -> ImageTable:
    """Tables of one kind and size, one after the other."""
    return ImageTable(
        tuple(chunk for table in tables for chunk in table.chunks),
        tuple(np.concatenate(labels) for labels in zip(*(table.labels for table in tables), strict=True)),
        np.concatenate([table.gray_N for table in tables]),
    )
