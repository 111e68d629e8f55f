"""How long a training takes: one more pass of each of its phases on a few images, times the passes that it has."""

from __future__ import annotations

import torch

from schemas.plans import TrainPlan
from stages.learning.table import ImageTable
from stages.learning.threads import clock
from stages.perturbers.registry import PERTURBERS


def train_seconds(table: ImageTable, plan: TrainPlan, samples: int, device: torch.device) -> float:
    """Seconds of a whole training.

    Args:
        table: a few real images.
        plan: of the training.
        samples: images of the training itself.
        device: where it would run.
    """
    own = PERTURBERS[plan.train.perturber].whole_training
    if own is not None:
        return own(table, plan, device)
    return _passes_seconds(table, plan, device) * samples / max(1, len(table))


def _passes_seconds(table: ImageTable, plan: TrainPlan, device: torch.device) -> float:
    """Of a whole training on this table, from the marginal cost of one more pass of each of its phases."""
    making = PERTURBERS[plan.train.perturber]
    phases = making.phases(plan.train)

    def trial(longer: str = "") -> float:
        passes = {phase.setting: 2 if phase.setting == longer else 1 for phase in phases}
        shorter = plan.model_copy(update={"train": plan.train.model_copy(update=passes)})
        started = clock()
        making.train(table, shorter, device)
        return clock() - started

    trial()  # the first one prepares kernels; it is not counted
    base = trial()
    return sum(max(0.0, trial(phase.setting) - base) * float(getattr(plan.train, phase.setting)) for phase in phases)
