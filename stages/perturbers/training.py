"""What every training of a perturber is given and gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import nn

from schemas.plans import TrainPlan
from stages.learning.table import ImageTable
from stages.perturbers.resuming import TrainingState


@dataclass(frozen=True)
class Trained:
    """A perturber's network (in eval mode, on the CPU) and how its training went."""

    generator: nn.Module
    steps: int
    seconds: float
    losses: list[dict[str, float]]
    """Mean of each loss term per pass or round."""
    explained: float | None = None
    """Share of δ's variance that the labels explain (`generator/explained.py`); None: not measured."""


class Phase(NamedTuple):
    """A part of a training whose cost grows with one setting."""

    name: str
    """As progress shows it."""
    setting: str
    """Field of `Train` that says how many passes it has."""


class Trainer(Protocol):
    """Trains on a table; the same table, plan and number of threads give the same weights."""

    def __call__(
        self,
        table: ImageTable,
        plan: TrainPlan,
        device: torch.device,
        report: Callable[[str, int, int], None] = ...,
        kept: TrainingState | None = ...,
    ) -> Trained:
        """Train a network.

        Args:
            table: images R×R with R = `plan.train.resolution`, labels of K tasks.
            plan: what decides the network.
            device: where to train.
            report: called with (phase, done, total).
            kept: where a long training keeps its state, and from where it goes on; None: nowhere.

        Raises:
            GeneratorError: a loss is not finite.
        """
