"""A victim: a fresh model, trained as an unauthorised user would, tested on clean held-out data; and its early end.

It learns all tasks at once (MTL) or one of them, without the labels of the others (STL).

A victim on protected images ends early when it knows them by heart and is at chance on clean images. It has found its
shortcut, and its loss leaves nothing more to learn from the images. What it reaches later is what it has reached
(`tests/unit/stages/audit/test_ending.py`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from schemas.evidence import VictimResult
from schemas.plans import VictimPlan
from stages.audit.curves import Figures, Measure
from stages.audit.intervals import standard_errors
from stages.countermeasures.countermeasure import Data
from stages.countermeasures.registry import COUNTERMEASURES
from stages.learning.optimise import Optimisation, to_device
from stages.learning.table import ImageTable
from stages.learning.weightings import WEIGHTINGS
from stages.networks.backbones.pretrained import load_pretrained
from stages.networks.multitask import MultiTaskModel, accumulate_gradients
from stages.tasks.kinds import fitted_tasks, kinds_of
from stages.tasks.task_kind import TaskKind

BY_HEART = 0.05
"""Loss of an epoch, as a share of an untrained network's, up to which a victim knows its images by heart."""

EPOCHS = 2
"""Epochs, one after the other, that it must have known them by heart."""

DEVIATIONS = 3.0
"""Standard errors that a figure may lie beyond chance to be at chance, in every task and at every epoch."""


def may_end(
    losses: Sequence[float],
    untrained: float,
    kinds: Sequence[TaskKind],
    chance: dict[str, dict[str, float]],
    figures: Figures,
    errors: Figures,
) -> bool:
    """Whether a victim's training may end after this epoch.

    Args:
        losses: mean loss on the training images, of each epoch.
        untrained: loss of the first step.
        kinds: K tasks.
        chance: task → metric → what a model reaches that never looks at an image.
        figures: on clean images, of each epoch.
        errors: their standard errors; where one is unknown, the training goes on.
    """
    latest = losses[-EPOCHS:]
    if len(latest) < EPOCHS or max(latest) > BY_HEART * untrained:
        return False
    measures = [
        Measure(kind.task.name, kind.metrics[0], chance[kind.task.name][kind.metrics[0].name]) for kind in kinds
    ]
    for epoch, error_of in zip(figures, errors, strict=True):
        for measure in measures:
            error = measure.error(error_of)
            if error is None or measure.value(epoch) > DEVIATIONS * error:
                return False
    return True


def train_victim(
    train: ImageTable,
    test: ImageTable,
    plan: VictimPlan,
    device: torch.device,
    clean: ImageTable | None = None,
    weights: Path | None = None,
    after_epoch: Callable[[], None] = lambda: None,
) -> VictimResult:
    """Train one victim and measure it on clean data after every epoch.

    Args:
        train: what it learns from (clean, noise or protected).
        test: clean held-out images at the same resolution.
        plan: its architecture, its training and the tasks.
        device: where to train.
        clean: the originals of `train`, for a countermeasure that needs some; None where `train` is clean.
        weights: file that its backbone starts from; None: random weights.
        after_epoch: called after each epoch, when the victim was measured.

    Raises:
        ValueError: `plan.only` is no task's name.
        ConfigError: the weights do not fit the backbone.
    """
    started = time.monotonic()
    numbers = [number for number, task in enumerate(plan.tasks) if plan.only in (None, task.name)]
    if not numbers:
        raise ValueError(f"only names {plan.only!r}; the tasks are {', '.join(task.name for task in plan.tasks)}")
    train, test = (_of_tasks(table, numbers) for table in (train, test))
    tasks = fitted_tasks([plan.tasks[number] for number in numbers], train.labels)
    kinds = kinds_of(tasks)
    attack = COUNTERMEASURES[plan.countermeasure]
    originals = clean if clean is None or attack.needs_second else _of_tasks(clean, numbers)
    data = attack.changed(Data(train, test, kinds, plan.seed, originals, plan.second, device))
    train, test, rng = data.train, data.test, torch.Generator().manual_seed(plan.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        model = MultiTaskModel(
            plan.backbone,
            width=plan.width,
            kinds=kinds,
            resolution=train.chunks[0].shape[1],
            weighting=WEIGHTINGS[plan.weighting](len(kinds), rng),
        )
    if weights is not None:
        load_pretrained(model.backbone, weights)
    to_device(model, device)
    optimisation = Optimisation(model.parameters(), epochs=plan.epochs, learning_rate=plan.learning_rate)
    chance = {task.name: kind.chance(labels) for task, kind, labels in zip(tasks, kinds, test.labels, strict=True)}
    figures, errors, steps = [], [], math.ceil(len(train) / plan.batch_size)
    untrained, losses = 0.0, []
    for epoch in range(plan.epochs):
        attack.begin_epoch(model, epoch / plan.epochs)
        of_steps = []
        for step, batch in enumerate(train.batches(plan.batch_size, rng, device)):
            progress = (epoch + step / steps) / plan.epochs
            lesson = attack.lesson(model, batch, kinds, plan.augment, rng, progress)
            optimisation.clear()
            of_steps.append(accumulate_gradients(model, lesson.x_BCHW, lesson.labels, kinds, lesson.mixed))
            optimisation.step()
        optimisation.end_epoch()
        untrained = untrained or float(of_steps[0])
        losses.append(float(torch.stack(of_steps).mean()))
        predicted = predict(model, kinds, test, plan.batch_size, device)
        figures.append(
            {
                task.name: kind.scores(found, labels)
                for task, kind, found, labels in zip(tasks, kinds, predicted, test.labels, strict=True)
            }
        )
        errors.append(
            {
                task.name: standard_errors(kind, found, labels, plan.seed)
                for task, kind, found, labels in zip(tasks, kinds, predicted, test.labels, strict=True)
            }
        )
        after_epoch()
        if plan.ends_early and may_end(losses, untrained, kinds, chance, figures, errors):
            break
    return VictimResult(
        data=plan.data,
        backbone=plan.backbone,
        learning_rate=plan.learning_rate,
        seed=plan.seed,
        weighting=plan.weighting,
        only=plan.only,
        countermeasure=plan.countermeasure,
        samples=len(train),
        test_samples=len(test),
        chance=chance,
        figures=figures,
        errors=errors,
        seconds=time.monotonic() - started,
    )


def _of_tasks(table: ImageTable, numbers: Sequence[int]) -> ImageTable:
    """The table with the labels of some tasks alone."""
    return replace(table, labels=tuple(table.labels[number] for number in numbers))


def predict(
    model: MultiTaskModel, kinds: Sequence[TaskKind], table: ImageTable, batch_size: int, device: torch.device
) -> list[np.ndarray]:
    """What the model says of each sample, a task each, as its kind has it; the model is in eval mode."""
    model.eval()
    parts: list[list[np.ndarray]] = [[] for _ in kinds]
    with torch.inference_mode():
        for batch in table.in_order(batch_size, device):
            for part, kind, output in zip(parts, kinds, model(batch.x_BCHW), strict=True):
                part.append(kind.predicted(output).cpu().numpy())
    return [np.concatenate(part) for part in parts]
