"""The contract of a leak test, and the pairs of clean and protected images that it looks at.

A new one is a function `(Pairs) -> list[Leak]` and a line in `leak_tests.py`, and its name in `LeakName`
(schemas/training.py).

Shapes: N pairs, R resolution or `WINDOW`, whichever is smaller, K tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from schemas.evidence import Leak
from schemas.tasks import Task
from stages.learning.table import ImageTable
from stages.tasks.kinds import fitted_tasks, kinds_of
from stages.tasks.task_kind import TaskKind

PAIRS = 1000
"""Pairs that are looked at, at most: probes with so few weights need no more."""


WINDOW = 64
"""Side in pixels of the middle of larger images, which is all that is looked at."""


@dataclass(frozen=True)
class Pairs:
    """Images before and after protection, and with noise instead, row by row, with their labels."""

    clean: np.ndarray
    """N×R×R×3 uint8."""
    noise: np.ndarray
    """N×R×R×3 uint8, with random noise of the same strength: the control."""
    protected: np.ndarray
    """N×R×R×3 uint8."""
    labels: tuple[np.ndarray, ...]
    """Of each task, first axis N."""
    tasks: Sequence[Task]
    """K tasks, fitted to these labels."""
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
    tables: Mapping[str, ImageTable], keys: Mapping[str, np.ndarray], tasks: Sequence[Task], seed: int
) -> Pairs:
    """Pairs by the hashes of keys, `PAIRS` at most; samples that one of the tables lacks are left out.

    Args:
        tables: `clean`, `noise` and `protected`.
        keys: hash of each row's key, of each table; of one that occurs twice the first is taken.
        tasks: K tasks.
        seed: of the halves.
    """
    common = reduce(np.intersect1d, keys.values())[:PAIRS]  # in the order of hashes, which is none
    rows = {name: _first_rows(found, common) for name, found in keys.items()}
    labels = tuple(label[rows["clean"]] for label in tables["clean"].labels)
    images = {name: _windows(table, rows[name]) for name, table in tables.items()}
    return Pairs(**images, labels=labels, tasks=fitted_tasks(tasks, labels), seed=seed)


def _first_rows(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(keys, kind="stable")
    rows: np.ndarray = order[np.searchsorted(keys[order], wanted)]
    return rows


def _windows(table: ImageTable, rows: np.ndarray) -> np.ndarray:
    """The middle of some images, as they are: a smaller size would take out what is to be found."""
    side = table.chunks[0].shape[1]
    inside = slice(max(0, (side - WINDOW) // 2), max(0, (side - WINDOW) // 2) + WINDOW)
    parts = np.array_split(rows, len(rows) // 256 + 1)  # whole images of all pairs would not fit into a worker
    return np.concatenate([table.images(part)[:, inside, inside] for part in parts])
