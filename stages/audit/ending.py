"""When a victim on protected images need not be trained on: it knows them by heart, and is at chance on clean images.

Such a victim has found its shortcut, and its loss leaves nothing more to learn from the images. What it reaches later
is what it has reached (`tests/unit/stages/audit/test_ending.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from stages.audit.curves import Figures, Measure
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
