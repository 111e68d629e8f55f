"""TAP, targeted adversarial poisoning (Fowl et al., NeurIPS 2021), inside the generator.

    min over the generator of  L(F(aug(x + δ)), y')     y' = (y + ⌊C/2⌋) mod C     F trained on clean data, frozen

Untargeted: max L(F(aug(x + δ)), y), which keeps pushing after the class has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from stages.learning.optimise import Optimisation
from stages.learning.table import Batch
from stages.methods.base import BaseMethod, Context, Phase
from stages.models.multitask import MultiTaskModel


class TargetedPoisoning(BaseMethod):
    """The generator makes every image look like another class to models that have learned the clean data."""

    phases = (Phase("surrogate", "surrogate_epochs"), Phase("generator", "epochs"))

    def prepare(self, context: Context) -> None:
        """Train the surrogates on clean data, then freeze them."""
        self.turn, self.surrogates = 0, context.new_surrogates()
        self.models = self.surrogates
        epochs, count = context.settings.surrogate_epochs, len(self.surrogates)
        for number, surrogate in enumerate(self.surrogates):
            optimisation = Optimisation(surrogate.parameters(), epochs=epochs)
            for epoch in range(epochs):
                for batch in context.batches():
                    context.surrogate_step(surrogate, optimisation, batch.x_BCHW, batch.labels)
                optimisation.end_epoch()
                self.after_epoch(context, surrogate, epoch)
                context.report("surrogate", number * epochs + epoch + 1, count * epochs)
            surrogate.eval().requires_grad_(False)

    def after_epoch(self, context: Context, surrogate: MultiTaskModel, epoch: int) -> None:
        """After each pass of a surrogate; for methods that look at it under way."""

    def losses(self, context: Context, x_BCHW: torch.Tensor, batch: Batch) -> Iterator[torch.Tensor]:
        """L(F(aug(x + δ)), y') of the next surrogate."""
        surrogate = self.surrogates[self.turn % len(self.surrogates)]
        self.turn += 1
        yield context.adversarial_loss(surrogate, *context.augmented(x_BCHW, batch.labels))

    def state_dict(self) -> dict[str, Any]:
        """The surrogates, which are learned once, and whose turn it is."""
        return {"turn": self.turn, "surrogates": [model.state_dict() for model in self.surrogates]}

    def load_state_dict(self, context: Context, state: dict[str, Any]) -> None:
        """The surrogates as they were learned."""
        self.turn, self.surrogates = state["turn"], context.new_surrogates()
        for model, weights in zip(self.surrogates, state["surrogates"], strict=True):
            model.load_state_dict(weights)
            model.eval().requires_grad_(False)
