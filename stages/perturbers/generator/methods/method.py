"""The contract of a base method, and what every method is given.

A method says what is minimised on perturbed images. The loop (`stages/perturbers/generator/training.py`) owns δ. It
computes δ once a batch, gives the method x + δ, and carries the gradient of the method's terms back into the generator.
To add one: a file with a class that derives from `BaseMethod`, and a line in `base_methods.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import nn

from schemas.training import Backbone, Train
from stages.learning.augment import augment_with_labels
from stages.learning.optimise import Optimisation, to_device
from stages.learning.table import Batch, ImageTable
from stages.learning.weightings import WEIGHTINGS
from stages.networks.backbones.pretrained import load_pretrained
from stages.networks.multitask import MultiTaskModel, accumulate_gradients, mean_loss
from stages.perturbers.training import Phase, Report
from stages.tasks.task_kind import TaskKind
from stages.transforms.differentiable import distorted


@dataclass
class Context:
    """What a method works with during one training run."""

    settings: Train
    table: ImageTable
    generator: nn.Module
    """Called with images, labels and gray flags it gives δ."""
    kinds: Sequence[TaskKind]
    protected: Sequence[bool]
    device: torch.device
    rng: torch.Generator
    """CPU generator of the whole run: order of batches, augmentation."""
    report: Report
    """Called with (phase, done, total) for progress."""
    checkpoint: Callable[[], None] = lambda: None
    """Called wherever the state can be stored."""

    def new_surrogates(self) -> list[MultiTaskModel]:
        """Surrogates on the run's device, of each architecture one a size; with random weights, or those of a file."""
        return [self._new_surrogate(*each) for each in product(self.settings.backbones, self.settings.surrogate_sizes)]

    def _new_surrogate(self, backbone: Backbone, size: float) -> MultiTaskModel:
        surrogate = MultiTaskModel(
            backbone,
            width=self.settings.width,
            kinds=self.kinds,
            resolution=self.settings.resolution,
            weighting=WEIGHTINGS[self.settings.weighting](len(self.kinds), self.rng),
            size=size,
        )
        if backbone in self.settings.weights:
            load_pretrained(surrogate.backbone, self.settings.weights[backbone])
        return to_device(surrogate, self.device)

    def batches(self) -> Iterator[Batch]:
        """One pass over the table in random order, on the run's device."""
        return self.table.batches(self.settings.batch_size, self.rng, self.device)

    def perturbed(self, batch: Batch) -> torch.Tensor:
        """x + δ, clipped to [0, 1] as the published pixels are; B×3×R×R."""
        delta_BCHW: torch.Tensor = self.generator(batch.x_BCHW, batch.labels, batch.gray_B)
        return (batch.x_BCHW + delta_BCHW).clamp(0, 1)

    def augmented(
        self, x_BCHW: torch.Tensor, labels: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """Images as a victim would see them in training, with the labels of what it sees."""
        return augment_with_labels(self.distorted(x_BCHW), labels, self.kinds, self.settings.augment, self.rng)

    def distorted(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Images as they are, or as an attacker changes them (`train.robust`); differentiable."""
        return distorted(x_BCHW, self.settings.robust, self.rng)

    def loss(self, model: nn.Module, x_BCHW: torch.Tensor, labels: Sequence[torch.Tensor]) -> torch.Tensor:
        """Mean loss of the protected tasks."""
        return mean_loss(model(x_BCHW), labels, self.kinds, self.protected)

    def adversarial_loss(
        self, model: MultiTaskModel, x_BCHW: torch.Tensor, labels: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """L(F(x), y') with targets y' that are wrong; untargeted: -L(F(x), y)."""
        if not self.settings.targeted:
            return -self.loss(model, x_BCHW, labels)
        targets = [kind.target(label) for kind, label in zip(self.kinds, labels, strict=True)]
        return self.loss(model, x_BCHW, targets)

    def surrogate_step(
        self, model: MultiTaskModel, optimisation: Optimisation, x_BCHW: torch.Tensor, labels: Sequence[torch.Tensor]
    ) -> None:
        """One step of a surrogate in train mode on every task's labels, which its own weighting balances."""
        model.train()
        optimisation.clear()
        accumulate_gradients(model, *self.augmented(x_BCHW, labels), self.kinds)
        optimisation.step()


class BaseMethod(ABC):
    """What the generator minimises besides the regularisers."""

    phases: tuple[Phase, ...] = (Phase("generator", "epochs"),)
    """The parts of a training, in their order; the last one is the generator's own."""

    models: Sequence[MultiTaskModel] = ()
    """The surrogates of the method whose loss on x + δ is minimised, from `prepare` on; frozen, of any weighting."""

    def prepare(self, context: Context) -> None:  # noqa: B027 - most methods need only some of the three
        """Before the first pass: train surrogates, if the method needs them; after `load_state_dict`, what is left."""

    def before_pass(self, context: Context, epoch: int) -> None:  # noqa: B027
        """Before each pass of the generator over the data."""

    @abstractmethod
    def losses(self, context: Context, x_BCHW: torch.Tensor, batch: Batch) -> Iterator[torch.Tensor]:
        """L_base on one batch as one or several terms whose sum it is; each is used up before the next is computed.

        Args:
            context: the training run.
            x_BCHW: x + δ, clipped to [0, 1]; the terms are differentiable in it; surrogates are frozen, in eval mode.
            batch: the clean images and their labels.
        """

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What the method must remember between two steps of the generator, or where it called `checkpoint`."""

    @abstractmethod
    def load_state_dict(self, context: Context, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
