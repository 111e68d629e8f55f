"""The contract of a countermeasure: it changes the data that a victim learns from, or how the victim is trained.

A new one is a class that derives from `Countermeasure`, in the file of what an attacker changes. It needs a line in
`registry.py`, and its name in `OwnCountermeasure` (schemas/training.py). Its docstring gives source and parameters.

Shapes: B images of a batch, C channels, H×W pixels, K tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from schemas.plans import TrainPlan
from stages.learning.augment import augment_with_labels
from stages.learning.table import Batch, ImageTable
from stages.networks.multitask import MultiTaskModel
from stages.tasks.task_kind import TaskKind

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Data:
    """What a victim learns from and what it is tested on, as an attacker holds it."""

    train: ImageTable
    """Clean, noise or protected: the attacker does the same to all of them."""
    test: ImageTable
    """Clean held-out images. What a countermeasure does to them is what the attacker's model does to all that it is
    shown; their labels are out of its reach."""
    kinds: Sequence[TaskKind]
    """K tasks whose labels the attacker has."""
    seed: int
    clean: ImageTable | None = None
    """The originals, for countermeasures that have some of them; None in the control, which has nothing else."""
    second: TrainPlan | None = None
    """How another generator is trained, for countermeasures with a copy that it protected."""
    device: torch.device = CPU
    """Where to train."""


class Lesson(NamedTuple):
    """What one step of a victim is computed on."""

    x_BCHW: torch.Tensor
    """In [0, 1]."""
    labels: tuple[torch.Tensor, ...]
    """Of each task, first axis B."""
    mixed: tuple[float, tuple[torch.Tensor, ...]] | None = None
    """Share and labels of other images that were mixed in."""


class Countermeasure:
    """Leaves everything as it is; each countermeasure replaces the part that is its own."""

    @property
    def cost(self) -> float:
        """Seconds of a step in those of a plain victim's, about."""
        return 1.0

    @property
    def needs_originals(self) -> bool:
        """Whether the attacker has clean images of the dataset: a leak, which no protection of the rest can undo.

        Such rows are shown and do not count in the verdict, unless `audit.require` names them.
        """
        return False

    @property
    def needs_weights(self) -> bool:
        """Whether the victim starts from weights that were trained elsewhere (`audit.pretrained`)."""
        return False

    @property
    def needs_second(self) -> bool:
        """Whether the attacker has copies that another generator has protected."""
        return False

    def applies(self, kinds: Sequence[TaskKind]) -> bool:
        """Whether it changes anything where the tasks are these: what does nothing is not tried, and proves nothing."""
        return True

    def resolution(self, side: int) -> int:
        """The side in pixels that the victim sees instead of `side`."""
        return side

    def changed(self, data: Data) -> Data:
        """The data that the victim sees, before its training begins; the same data and seed give the same result."""
        return data

    def begin_epoch(self, model: MultiTaskModel, progress: float = 0.0) -> None:
        """Before each pass over the data: which parts of the victim learn.

        Args:
            model: the victim.
            progress: share of the training that is done, 0 before the first pass.
        """
        model.train()

    def lesson(
        self,
        model: MultiTaskModel,
        batch: Batch,
        kinds: Sequence[TaskKind],
        augments: Sequence[str],
        rng: torch.Generator,
        progress: float = 1.0,
    ) -> Lesson:
        """What the victim learns from a batch at one step.

        Args:
            model: the victim, in train mode; its gradients are cleared after this call.
            batch: as `changed` left it.
            kinds: K tasks.
            augments: the usual augmentation, of `crop` and `flip`.
            rng: CPU generator of the training; the only source of randomness.
            progress: share of the training that is done, in 0..1.
        """
        return Lesson(*augment_with_labels(batch.x_BCHW, batch.labels, kinds, augments, rng))
