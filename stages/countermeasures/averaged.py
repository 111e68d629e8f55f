"""An averaged pair: the attacker has two protected copies of each image, by two generators, and takes their mean.

Whoever kept the files of before a `--retrain`, or found the dataset protected twice, holds such pairs. The mean keeps
what both δ have in common and halves the rest. Here the second generator is trained by the same plan from another seed,
on the originals that the victims see; that costs a whole training, so `all` does not mean it.

The control is a victim on clean images, which have nothing to average.

Shapes: N samples, R resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from schemas.plans import TrainPlan
from stages.countermeasures.countermeasure import Countermeasure, Data
from stages.countermeasures.purifier import nearest_rows
from stages.learning.table import ImageTable
from stages.perturbers.perturber import GeneratorPerturber
from stages.perturbers.registry import PERTURBERS
from stages.protect.arrays import protected_images
from stages.tasks.kinds import fitted_tasks, kinds_of


@dataclass(frozen=True)
class Averaged(Countermeasure):
    """The victim learns from the means of two protected copies."""

    @property
    def cost(self) -> float:
        """A training of the perturber comes first; how long that takes beside a victim's is a guess."""
        return 4.0

    @property
    def needs_originals(self) -> bool:
        """What leaked is a second copy, not an original; it is no more in the attacker's reach than that."""
        return True

    @property
    def needs_second(self) -> bool:
        """Always."""
        return True

    def changed(self, data: Data) -> Data:
        """The training table averaged with a second protected copy; in the control it stays as it is."""
        if data.clean is None or data.second is None:
            return data
        copy_NRRC = protected_again(data.clean, data.second, data.device)
        own_NRRC = data.train.images(np.arange(len(data.train)))
        if len(copy_NRRC) != len(own_NRRC):  # some were left out when the dataset was protected
            copy_NRRC = copy_NRRC[nearest_rows(own_NRRC, data.clean)]
        mean_NRRC = (own_NRRC.astype(np.uint16) + copy_NRRC + 1) // 2
        return replace(data, train=replace(data.train, chunks=(mean_NRRC.astype(np.uint8),)))


def protected_again(clean: ImageTable, plan: TrainPlan, device: torch.device) -> np.ndarray:
    """The images of a table as a generator protects them that was trained on that table: N×R×R×3 uint8.

    Args:
        clean: originals, at any resolution.
        plan: of the training; its seed decides.
        device: where to train.
    """
    table = clean.resized(plan.train.resolution, kinds_of(plan.tasks))
    fitted = plan.model_copy(update={"tasks": fitted_tasks(plan.tasks, table.labels)})
    perturber = GeneratorPerturber(PERTURBERS[plan.train.perturber].train(table, fitted, device).generator, "second")
    return np.stack(list(protected_images(list(clean.images(np.arange(len(clean)))), table, perturber)))
