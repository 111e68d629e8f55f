"""TAP, targeted adversarial poisoning (Fowl et al., NeurIPS 2021), inside the generator.

min over the generator of  L(F(aug(x + δ)), y')     y' = (y + ⌊C/2⌋) mod C     F trained on clean data, frozen
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from schemas.tasks import MISSING
from stages.learning.optimise import Optimisation
from stages.learning.table import Batch
from stages.methods.base import BaseMethod, Context


def shift_labels(labels_BK: torch.Tensor, class_counts: Sequence[int]) -> torch.Tensor:
    """y' = (y + ⌊C/2⌋) mod C per task; a missing label stays missing.

    Example:
        >>> shift_labels(torch.tensor([[0, 1], [4, -1]]), [5, 2]).tolist()
        [[2, 0], [1, -1]]
    """
    counts_K = torch.tensor(class_counts, device=labels_BK.device)
    return torch.where(labels_BK == MISSING, labels_BK, (labels_BK + counts_K // 2) % counts_K)


class TargetedPoisoning(BaseMethod):
    """The generator makes every image look like another class to a model that has learned the clean data."""

    def prepare(self, context: Context) -> None:
        """Train the surrogate on clean data, then freeze it."""
        epochs = context.settings.surrogate_epochs
        self.surrogate = context.new_surrogate()
        optimisation = Optimisation(self.surrogate.parameters(), epochs=epochs)
        for epoch in range(epochs):
            for batch in context.batches():
                context.surrogate_step(self.surrogate, optimisation, batch.x_BCHW, batch.labels_BK)
            optimisation.end_epoch()
            context.report("surrogate", epoch + 1, epochs)
        self.surrogate.eval().requires_grad_(False)

    def loss(self, context: Context, batch: Batch) -> torch.Tensor:
        """L(F(aug(x + δ)), y')."""
        shifted_BK = shift_labels(batch.labels_BK, context.class_counts)
        return context.surrogate_loss(self.surrogate, context.perturbed(batch), shifted_BK)
