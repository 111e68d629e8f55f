"""The contract of a leak test, and the pairs of clean and protected images that it looks at.

A new one is one file with a function `(Pairs) -> list[Leak]`, a line in `registry.py`, and its name in `LeakName`
(schemas/training.py).

Shapes: N pairs, R resolution or `WINDOW`, whichever is smaller, K tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.evidence import Leak
from schemas.tasks import Task
from stages.learning.table import ImageTable
from stages.tasks.base import TaskKind
from stages.tasks.registry import fitted_tasks, kinds_of

PAIRS = 2000
"""Pairs that are looked at, at most: probes with so few weights need no more."""


WINDOW = 64
"""Side in pixels of the middle of larger images, which is all that is looked at."""


@dataclass(frozen=True)
class Pairs:
    """Images before and after protection, row by row, with their labels."""

    clean: np.ndarray
    """N×R×R×3 uint8."""
    protected: np.ndarray
    """N×R×R×3 uint8."""
    labels: tuple[np.ndarray, ...]
    """Of each task, first axis N."""
    tasks: Sequence[Task]
    """K tasks, fitted to these labels."""
    wanted: Sequence[bool]
    """Per task, whether it was to be protected."""
    seed: int

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def kinds(self) -> list[TaskKind]:
        """What can be asked of each task."""
        return kinds_of(self.tasks)

    @property
    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows to learn from and rows to test on, drawn once."""
        order = np.random.default_rng(self.seed).permutation(len(self))
        return np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])


LeakTest = Callable[[Pairs], list[Leak]]
"""What the pairs give away: a figure with its chance line for each thing that was asked."""


def pairs_of(
    clean: ImageTable,
    protected: ImageTable,
    keys: tuple[np.ndarray, np.ndarray],
    tasks: Sequence[Task],
    wanted: Sequence[bool],
    seed: int,
) -> Pairs:
    """Pairs by the hashes of keys, `PAIRS` at most; samples that only one table has are left out.

    Args:
        clean: before protection.
        protected: after it.
        keys: hash of each row's key, of both tables; of one that occurs twice the first is taken.
        tasks: K tasks.
        wanted: per task, whether it was to be protected.
        seed: of the halves.
    """
    _, rows, twins = np.intersect1d(*keys, return_indices=True)  # in the order of hashes, which is none
    rows, twins = rows[:PAIRS], twins[:PAIRS]
    labels = tuple(label[rows] for label in clean.labels)
    return Pairs(_windows(clean, rows), _windows(protected, twins), labels, fitted_tasks(tasks, labels), wanted, seed)


def _windows(table: ImageTable, rows: np.ndarray) -> np.ndarray:
    """The middle of some images, as they are: a smaller size would take out what is to be found."""
    side = table.chunks[0].shape[1]
    inside = slice(max(0, (side - WINDOW) // 2), max(0, (side - WINDOW) // 2) + WINDOW)
    parts = np.array_split(rows, len(rows) // 256 + 1)  # whole images of all pairs would not fit into a worker
    return np.concatenate([table.images(part)[:, inside, inside] for part in parts])
