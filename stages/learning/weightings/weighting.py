"""The contract of a task weighting: from the losses of K tasks to the gradients of one step.

To add one: a class that derives from `Weighting` in `loss_based.py` (or from `GradientWeighting` in `gradient_based.py`
if it only weighs the tasks' gradients by their inner products), a line in `registry.py`, and its name in
`schemas/training.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import nn


class Weighting(nn.Module, ABC):
    """How the losses of several tasks become the gradients of one step; one for each training of a model.

    It is a module of the model that it trains (`MultiTaskModel.weighting`): what it learns is among the model's
    `parameters()`, so the optimiser sees it, and in the model's `state_dict()`, so an interrupted training goes on.

    Args:
        tasks: K.
        rng: CPU generator of the training, for weightings that draw; the others leave it alone.
    """

    def __init__(self, tasks: int, rng: torch.Generator) -> None:
        super().__init__()
        self.tasks, self.rng = tasks, rng

    @abstractmethod
    def backward(self, losses: Mapping[int, torch.Tensor], features: torch.Tensor) -> None:
        """Add the gradients of one step to the model's parameters and to its own.

        Args:
            losses: task, 0..K-1 → its scalar loss, for each task that has a label in the batch; at least one. The
                parameters of a task that is absent get no gradient at all, so the optimiser leaves them as they are.
            features: output of the layer that all heads share, first axis B; the losses were computed from it.
        """
