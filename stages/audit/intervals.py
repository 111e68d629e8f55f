"""How sure a figure is: its standard error over the test samples, by the bootstrap.

Efron, Tibshirani, "An introduction to the bootstrap" (1993), ch. 6 and 13. The test samples are drawn again with
replacement, B times. The figures' standard deviation s gives the 95 % interval v ± 1.96·s (`Metric.interval`). It
describes other test images, not another training: `audit.seeds` is for that.

Shapes: N test samples.
"""

from __future__ import annotations

import numpy as np

from stages.tasks.task_kind import TaskKind

RESAMPLES = 100
"""B: the standard error is then right to about 7 %."""

FEWEST = 20
"""Resamples below which nothing is said."""

VALUES = 2e7
"""Label values that all resamples of one figure may hold together: of images with a label per pixel fewer are drawn."""


def standard_errors(kind: TaskKind, predicted: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    """Metric → standard error of the figures that `kind.scores` gives; empty where too few resamples are affordable.

    Args:
        kind: of the task.
        predicted: N, as `scores` takes it.
        labels: N.
        seed: of the resamples: of every task and epoch they are the same.
    """
    resamples = min(RESAMPLES, int(VALUES // max(1, labels.size)))
    if resamples < FEWEST or len(labels) < 2:
        return {}
    rng = np.random.default_rng(seed)
    draws = (rng.integers(len(labels), size=len(labels)) for _ in range(resamples))
    figures = [kind.scores(predicted[rows], labels[rows]) for rows in draws]
    return {name: float(np.std([each[name] for each in figures], ddof=1)) for name in figures[0]}
