"""TAP, targeted adversarial poisoning (Fowl et al., NeurIPS 2021), inside the generator.

min over the generator of  L(F(aug(x + δ)), y')     y' = (y + ⌊C/2⌋) mod C     F trained on clean data, frozen
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from stages.learning.optimise import Optimisation
from stages.learning.table import Batch
from stages.methods.base import BaseMethod, Context, Phase


class TargetedPoisoning(BaseMethod):
    """The generator makes every image look like another class to a model that has learned the clean data."""

    phases = (Phase("surrogate", "surrogate_epochs"), Phase("generator", "epochs"))

    def prepare(self, context: Context) -> None:
        """Train the surrogate on clean data, then freeze it."""
        epochs = context.settings.surrogate_epochs
        self.surrogate = context.new_surrogate()
        optimisation = Optimisation(self.surrogate.parameters(), epochs=epochs)
        for epoch in range(epochs):
            for batch in context.batches():
                context.surrogate_step(self.surrogate, optimisation, batch.x_BCHW, batch.labels)
            optimisation.end_epoch()
            context.report("surrogate", epoch + 1, epochs)
        self.surrogate.eval().requires_grad_(False)

    def losses(self, context: Context, x_BCHW: torch.Tensor, batch: Batch) -> Iterator[torch.Tensor]:
        """L(F(aug(x + δ)), y')."""
        targets = [kind.target(label) for kind, label in zip(context.kinds, batch.labels, strict=True)]
        yield context.surrogate_loss(self.surrogate, x_BCHW, targets)

    def state_dict(self) -> dict[str, Any]:
        """The surrogate, which is learned once."""
        return {"surrogate": self.surrogate.state_dict()}

    def load_state_dict(self, context: Context, state: dict[str, Any]) -> None:
        """The surrogate as it was learned."""
        self.surrogate = context.new_surrogate()
        self.surrogate.load_state_dict(state["surrogate"])
        self.surrogate.eval().requires_grad_(False)
