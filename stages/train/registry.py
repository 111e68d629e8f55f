"""Every way to make what makes δ, by the name of `train.perturber`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch

from schemas.plans import TrainPlan
from schemas.training import Train
from stages.learning.table import ImageTable
from stages.methods.base import Phase
from stages.methods.registry import METHODS
from stages.train.codes import train_codes
from stages.train.generator import train_generator
from stages.train.linear import train_linear
from stages.train.patterns import PATTERNS, draw_patterns
from stages.train.per_sample import train_per_sample
from stages.train.resuming import TrainingState
from stages.train.trained import Trained


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
        """Report is called with (phase, done, total); a long training keeps its state in `kept` and goes on from it.

        Raises:
            GeneratorError: a loss is not finite.
        """


class TrainerEntry(NamedTuple):
    """How one kind of perturber is made."""

    train: Trainer
    phases: Callable[[Train], tuple[Phase, ...]]
    """The parts of its training, in their order; their lengths are settings of `Train`."""


TRAINERS: dict[str, TrainerEntry] = {
    "codes": TrainerEntry(train_codes, lambda settings: (Phase("codes", "rounds"),)),
    "generator": TrainerEntry(train_generator, lambda settings: METHODS[settings.method].phases),
    "pil": TrainerEntry(train_linear, lambda settings: (Phase("linear", "surrogate_epochs"),)),
    "em-sample": TrainerEntry(train_per_sample, lambda settings: (Phase("surrogate", "epochs"),)),
    **dict.fromkeys(
        ("tap-sample", "sep-sample"),
        TrainerEntry(train_per_sample, lambda settings: (Phase("surrogate", "surrogate_epochs"),)),
    ),
    **dict.fromkeys(PATTERNS, TrainerEntry(draw_patterns, lambda settings: ())),
}


def passes_of(settings: Train) -> dict[str, int]:
    """Setting → passes of each part of a training."""
    phases = TRAINERS[settings.perturber].phases(settings)
    return {phase.setting: getattr(settings, phase.setting) for phase in phases}
