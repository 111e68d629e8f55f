"""Adversarial training: the victim learns from images that were moved against it within a radius r of its own.

Madry et al., ICLR 2018: projected gradient descent on the loss within ‖·‖∞ ≤ r from a random start, then a step of the
model on what was found. A shortcut that fits into r is drowned: the classic defence of the literature on unlearnable
examples (Huang et al., 2021; Fu et al., 2022). Here 3 steps of r/2, every batch; gradients of all tasks' mean loss.

The radius grows from 0 to r over the first third of the training, and the attack sees the victim in evaluation mode.
Without either a thin victim learns nothing from clean images, so its failing on protected ones would prove nothing.

Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from stages.countermeasures.countermeasure import Countermeasure, Lesson
from stages.learning.augment import augment_with_labels
from stages.learning.table import Batch
from stages.networks.multitask import MultiTaskModel, mean_loss
from stages.tasks.task_kind import TaskKind


@dataclass(frozen=True)
class Adversarial(Countermeasure):
    """Every batch is moved against the model before the model learns from it."""

    radius: float
    """r in [0, 1] units."""
    steps: int = 3
    ramp: float = 1 / 3
    """Share of the training over which the radius grows to r."""

    @property
    def cost(self) -> float:
        """A pass forward and back for each step, and the victim's own."""
        return self.steps + 1.0

    def lesson(
        self,
        model: MultiTaskModel,
        batch: Batch,
        kinds: Sequence[TaskKind],
        augments: Sequence[str],
        rng: torch.Generator,
        progress: float = 1.0,
    ) -> Lesson:
        """The worst images that the steps find, inside [0, 1]; the victim learns from them in train mode."""
        x_BCHW, labels = augment_with_labels(batch.x_BCHW, batch.labels, kinds, augments, rng)
        radius = self.radius * min(1.0, progress / self.ramp)
        start_BCHW = torch.rand(x_BCHW.shape, generator=rng).to(x_BCHW)
        moved_BCHW = (x_BCHW + radius * (2 * start_BCHW - 1)).clamp(0, 1)
        training = model.training
        model.eval()
        for _ in range(self.steps):
            moved_BCHW.requires_grad_()
            loss = mean_loss(model(moved_BCHW), labels, kinds)
            (gradient_BCHW,) = torch.autograd.grad(loss, moved_BCHW)
            away_BCHW = moved_BCHW.detach() + radius / 2 * gradient_BCHW.sign()
            moved_BCHW = torch.clamp(away_BCHW, x_BCHW - radius, x_BCHW + radius).clamp(0, 1)
        model.train(training)
        return Lesson(moved_BCHW.detach(), labels)
