"""The linear probe of all leak tests: one linear layer on an image's values, learned on half of the samples.

Parameters: 30 passes from zero, Adam 3e-3 and its usual schedule, batches of 64; figures are those of the task's kind
on the other half.

Shapes: N samples, B batch, D values of a sample.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from schemas.metrics import Metric
from stages.audit.intervals import standard_errors
from stages.learning.optimise import Optimisation
from stages.tasks.base import TaskKind

EPOCHS, BATCH, LEARNING_RATE = 30, 64, 3e-3

Values = Callable[[np.ndarray], torch.Tensor]
"""From some rows to their values, B×D float32, each of about unit size."""


def probed(
    values: Values, labels: np.ndarray, kind: TaskKind, halves: tuple[np.ndarray, np.ndarray], seed: int
) -> tuple[Metric, float, float, float | None]:
    """Learn labels from values by a linear layer.

    Args:
        values: of rows.
        labels: N, as the kind stores them.
        kind: no dense one.
        halves: rows to learn from and rows to test on.
        seed: of the batches' order, and of the resamples of the standard error.

    Returns:
        The metric that decides the kind of task, its value on the rows to test on, its chance line there, and its
        standard error.
    """
    learned, tested = halves
    rng, known = torch.Generator().manual_seed(seed), torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]):
        head = kind.head(values(learned[:1]).shape[1])
    for parameter in head.parameters():
        nn.init.zeros_(parameter)
    optimisation = Optimisation(head.parameters(), epochs=EPOCHS, learning_rate=LEARNING_RATE)
    for _ in range(EPOCHS):
        for rows in torch.from_numpy(learned)[torch.randperm(len(learned), generator=rng)].split(BATCH):
            loss = kind.loss(head(values(rows.numpy())), known[rows])
            if loss is not None:
                optimisation.clear()
                loss.backward()
                optimisation.step()
        optimisation.end_epoch()
    with torch.inference_mode():
        parts = [kind.predicted(head(values(rows))).numpy() for rows in np.array_split(tested, len(tested) // 256 + 1)]
    predicted, truth, metric = np.concatenate(parts), labels[tested], kind.metrics[0]
    reached, line = kind.scores(predicted, truth)[metric.name], kind.chance(truth)[metric.name]
    return metric, reached, line, standard_errors(kind, predicted, truth, seed).get(metric.name)
