"""What a protection gives away: detectable, δ alone, and tasks that were left open; each by one linear probe.

The probe is one linear layer on an image's values, learned on half of the samples. It takes 30 passes from zero, with
Adam at 3e-3, its usual schedule and batches of 64. Its figures are those of the task's kind on the other half.

Shapes: N pairs, B batch, R resolution, D values a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from schemas.evidence import Leak, TaskEvidence
from schemas.metrics import Metric
from schemas.tasks import ClassificationTask
from schemas.training import LeakName
from stages.audit.intervals import standard_errors
from stages.audit.leak_pairs import LeakTest, Pairs
from stages.learning.optimise import Optimisation
from stages.tasks.kinds import kinds_of
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


MEASURED = 256
"""Rows, about, whose mean and deviation standardise the values."""

ASKED = ClassificationTask(name="protected", field="protected", classes=["clean", "protected"])


def detectable(pairs: Pairs) -> list[Leak]:
    """Balanced accuracy over clean and protected images of which the probe saw neither, beside noise for protection.

    Can a linear probe tell protected from clean images?

    Steganalysis asks it of every image that carries something (Fridrich, 2009). The probe sees the pixels, and how far
    each lies from the mean of its neighbours: for each pixel and on average. Noise of any kind raises that. All is
    standardised. Both images of a pair are learned from, or both are tested on. Chance is 1/2.

    An image that is known to be protected is not unprotected by that; but whoever can tell will look for a way.
    """
    found, control = (_told_apart(pairs, images) for images in (pairs.protected, pairs.noise))
    return [
        Leak(
            name="detectable",
            metric=found.metric,
            reached=found.reached,
            chance=found.chance,
            noise=control.reached,
            error=found.error,
            samples=2 * len(pairs.halves[1]),
        )
    ]


def _told_apart(pairs: Pairs, others_NRRC: np.ndarray) -> Probed:
    """What `probed` says of clean images and others."""
    count, kinds = len(pairs), kinds_of([ASKED])
    labels = np.repeat(np.array([0, 1]), count)  # rows of the clean images, then those of their twins

    def measured(rows: np.ndarray) -> torch.Tensor:
        images = np.where((rows < count)[:, None, None, None], pairs.clean[rows % count], others_NRRC[rows % count])
        return pixels_and_residuals(images)

    learned, tested = (np.concatenate([half, half + count]) for half in pairs.halves)
    some_ND = measured(learned[:: len(learned) // MEASURED + 1])
    mean_D, scale_D = some_ND.mean(dim=0), some_ND.std(dim=0) + 1e-3
    (found,) = probed(lambda rows: (measured(rows) - mean_D) / scale_D, [labels], kinds, (learned, tested), pairs.seed)
    return found


def pixels_and_residuals(images_NRRC: np.ndarray) -> torch.Tensor:
    """N×D in 0..1: pixels, distances of pixels from the mean of their 3×3 neighbourhood, mean distance per channel."""
    x_NCRR = torch.from_numpy(images_NRRC).permute(0, 3, 1, 2).float() / 255
    around_NCRR = functional.avg_pool2d(x_NCRR, 3, stride=1, padding=1, count_include_pad=False)
    away_NCRR = (x_NCRR - around_NCRR).abs()
    return torch.cat([x_NCRR.flatten(1), away_NCRR.flatten(1), away_NCRR.mean(dim=(2, 3))], dim=1)


def delta_alone(pairs: Pairs) -> list[Leak]:
    """One figure a task, on pairs that the probe has not seen, beside that of random noise.

    What does δ alone predict? A linear probe from δ to the label of each task.

    Yu et al., KDD 2022 ("Availability attacks create shortcuts"): the perturbations of nearly all such protections are
    linearly separable by class. That is why they work. A figure near chance on a protected task means that δ has no
    shortcut for it. A high figure also means that the difference of a pair shows the label. A task that was left open
    should stand at chance.

    Random noise of the same strength is the control. Where an image is black or white the added noise is cut, and the
    difference shows the image.

    Dense tasks, whose labels are per pixel, are passed over.
    """
    asked = [number for number, kind in enumerate(pairs.kinds) if not kind.dense]
    labels, kinds = [pairs.labels[number] for number in asked], [pairs.kinds[number] for number in asked]
    if not asked:
        return []
    reached, controls = (
        probed(_values(pairs, images), labels, kinds, pairs.halves, pairs.seed)
        for images in (pairs.protected, pairs.noise)
    )
    return [
        Leak(
            name="delta_alone",
            task=pairs.tasks[number].name,
            metric=found.metric,
            reached=found.reached,
            chance=found.chance,
            noise=control.reached,
            error=found.error,
            samples=len(pairs.halves[1]),
        )
        for number, found, control in zip(asked, reached, controls, strict=True)
    ]


def _values(pairs: Pairs, images_NRRC: np.ndarray) -> Values:
    """Images minus clean ones, scaled so that the largest difference is 1."""

    def delta(rows: np.ndarray) -> np.ndarray:
        found: np.ndarray = images_NRRC[rows].astype(np.int16) - pairs.clean[rows].astype(np.int16)
        return found

    largest = max(1, *(int(np.abs(delta(rows)).max()) for rows in pairs.halves))
    return lambda rows: torch.from_numpy(delta(rows).reshape(len(rows), -1)).float() / largest


def unlisted(tasks: Sequence[TaskEvidence], samples: int) -> list[Leak]:
    """The strongest victim on protected images in each open task, beside the strongest one on clean images.

    What remains of tasks that were not listed? A victim's figure in each task that was left open on purpose.

    No pair is looked at: the audit's victims have learned these tasks beside the others. Where every task was to be
    protected there is nothing to measure, and labels that nobody declared are outside of any audit.

    Args:
        tasks: of an audit.
        samples: test images.
    """
    return [
        Leak(
            name="unlisted",
            task=task.name,
            metric=task.judged_by,
            reached=task.judged("protected").best,
            clean=task.judged("clean").best,
            chance=task.chance[task.metric],
            noise=task.judged("noise").best if "noise" in task.judged_scores else None,
            error=task.judged("protected").best_error,
            samples=samples,
        )
        for task in tasks
        if not task.wanted and {"clean", "protected"} <= task.judged_scores.keys()
    ]


LEAK_TESTS: dict[LeakName, LeakTest] = {"detectable": detectable, "delta_alone": delta_alone}
"""`unlisted` is not among them: it reads the figures of victims (`unlisted`)."""
