"""The contract of a task weighting: from K losses and a model to one backward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch


class Weighting(ABC):
    """How the losses of several tasks become the gradient of one step."""

    @abstractmethod
    def backward(self, losses: Sequence[torch.Tensor]) -> torch.Tensor:
        """Add the gradient of the weighted losses to the parameters; returns what is reported as the loss.

        Args:
            losses: one scalar for each task that has a label in the batch; at least one.
        """
