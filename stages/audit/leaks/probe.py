"""The linear probe of all leak tests: one linear layer on an image's values, learned on half of the samples.

Parameters: 30 passes from zero, Adam 3e-3 and its usual schedule, batches of 64; figures are those of the task's kind
on the other half.

Shapes: N samples, B batch, D values of a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from schemas.metrics import Metric
from stages.audit.intervals import standard_errors
from stages.learning.optimise import Optimisation
from stages.tasks.task_kind import TaskKind

EPOCHS, BATCH, LEARNING_RATE = 30, 64, 3e-3

Values = Callable[[np.ndarray], torch.Tensor]
"""From some rows to their values, B×D float32, each of about unit size."""


class Probed(NamedTuple):
    """What a probe reached in one task, on the rows that it was tested on."""

    metric: Metric
    """The one that decides the kind of task."""
    reached: float
    chance: float
    error: float | None
    """Standard error of `reached`."""


def probed(
    values: Values,
    labels: Sequence[np.ndarray],
    kinds: Sequence[TaskKind],
    halves: tuple[np.ndarray, np.ndarray],
    seed: int,
) -> list[Probed]:
    """Learn the labels of several tasks from the same values, by a linear layer each.

    Args:
        values: of rows.
        labels: of each task, N, as its kind stores them.
        kinds: of the tasks; no dense one.
        halves: rows to learn from and rows to test on.
        seed: of the batches' order, and of the resamples of the standard error.
    """
    learned, tested = halves
    rng, known = torch.Generator().manual_seed(seed), [torch.from_numpy(each) for each in labels]
    with torch.random.fork_rng(devices=[]):
        heads = nn.ModuleList(kind.head(values(learned[:1]).shape[1]) for kind in kinds)
    for parameter in heads.parameters():
        nn.init.zeros_(parameter)
    optimisation = Optimisation(heads.parameters(), epochs=EPOCHS, learning_rate=LEARNING_RATE)
    for _ in range(EPOCHS):
        for rows in torch.from_numpy(learned)[torch.randperm(len(learned), generator=rng)].split(BATCH):
            x_BD = values(rows.numpy())
            losses = [kind.loss(head(x_BD), each[rows]) for kind, head, each in zip(kinds, heads, known, strict=True)]
            found = [loss for loss in losses if loss is not None]
            if found:
                optimisation.clear()
                torch.stack(found).sum().backward()
                optimisation.step()
        optimisation.end_epoch()
    predicted: list[list[np.ndarray]] = [[] for _ in kinds]
    with torch.inference_mode():
        for part in np.array_split(tested, len(tested) // 256 + 1):
            x_BD = values(part)
            for kind, head, said in zip(kinds, heads, predicted, strict=True):
                said.append(kind.predicted(head(x_BD)).numpy())
    return [
        _measured(kind, np.concatenate(said), each[tested], seed)
        for kind, said, each in zip(kinds, predicted, labels, strict=True)
    ]


def _measured(kind: TaskKind, predicted: np.ndarray, labels: np.ndarray, seed: int) -> Probed:
    metric = kind.metrics[0]
    error = standard_errors(kind, predicted, labels, seed).get(metric.name)
    return Probed(metric, kind.scores(predicted, labels)[metric.name], kind.chance(labels)[metric.name], error)
