"""The contract of a base method, and what every method is given.

A method says what the generator minimises; `stages/train.py` owns the loop. To add one: write a file with a class that
derives from `BaseMethod`, and name it in `METHODS` (stages/train.py) and in `Train.method` (schemas/config.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from schemas.config import Train
from stages.learning.augment import augment
from stages.learning.optimise import Optimisation, to_device
from stages.learning.table import Batch, ImageTable
from stages.models.generator import Generator
from stages.models.multitask import MultiTaskModel, multi_task_loss


@dataclass
class Context:
    """What a method works with during one training run."""

    settings: Train
    table: ImageTable
    generator: Generator
    class_counts: list[int]
    protected: list[bool]
    device: torch.device
    rng: torch.Generator
    """CPU generator of the whole run: order of batches, augmentation."""
    report: Callable[[str, int, int], None]
    """Called with (what, done, total) for progress."""

    def new_surrogate(self) -> MultiTaskModel:
        """A fresh surrogate on the run's device."""
        model = MultiTaskModel(
            self.settings.backbone,
            width=self.settings.width,
            class_counts=self.class_counts,
            resolution=self.settings.resolution,
        )
        return to_device(model, self.device)

    def batches(self) -> Iterator[Batch]:
        """One pass over the table in random order, on the run's device."""
        return self.table.batches(self.settings.batch_size, self.rng, self.device)

    def perturbed(self, batch: Batch) -> torch.Tensor:
        """x + δ, clipped to [0, 1] as the published pixels are; B×3×R×R."""
        delta_BCHW: torch.Tensor = self.generator(batch.x_BCHW, batch.labels_BK, batch.gray_B)
        return (batch.x_BCHW + delta_BCHW).clamp(0, 1)

    def surrogate_loss(self, model: MultiTaskModel, x_BCHW: torch.Tensor, labels_BK: torch.Tensor) -> torch.Tensor:
        """Mean loss of the protected tasks on augmented images."""
        return multi_task_loss(model(augment(x_BCHW, self.settings.augment, self.rng)), labels_BK, self.protected)

    def surrogate_step(
        self, model: MultiTaskModel, optimisation: Optimisation, x_BCHW: torch.Tensor, labels_BK: torch.Tensor
    ) -> float:
        """One step of a surrogate in train mode on every task's labels; returns the loss."""
        model.train()
        loss = multi_task_loss(model(augment(x_BCHW, self.settings.augment, self.rng)), labels_BK)
        return optimisation.step(loss)


class BaseMethod(ABC):
    """What the generator minimises besides the regularisers."""

    def prepare(self, context: Context) -> None:  # noqa: B027 - most methods need only some of the three
        """Before the first pass: train surrogates, if the method needs them."""

    def before_pass(self, context: Context, epoch: int) -> None:  # noqa: B027
        """Before each pass of the generator over the data."""

    @abstractmethod
    def loss(self, context: Context, batch: Batch) -> torch.Tensor:
        """L_base on one batch; differentiable in the generator. Surrogates are frozen and in eval mode here."""
