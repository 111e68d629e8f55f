"""EM, error-minimising noise (Huang et al., ICLR 2021), inside the generator.

    min over generator and surrogates of  L(F(aug(x + δ)), y)

in turns: a few surrogate steps on the perturbed data, then one pass of generator steps through the frozen surrogates.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch

from stages.learning.optimise import Optimisation
from stages.learning.table import Batch
from stages.networks.folding import folded
from stages.perturbers.generator.methods.method import BaseMethod, Context

SURROGATE_STEPS = 20
"""Steps of each surrogate before each pass of the generator, one pass over the data at most."""


class ErrorMinimising(BaseMethod):
    """The generator makes the surrogates' task so easy that nothing is left to learn from the image."""

    def prepare(self, context: Context) -> None:
        """Make the surrogates; they start untrained."""
        self.turn, self.surrogates = 0, context.new_surrogates()
        self.models = self.surrogates
        # Their learning rate stays: the generator must keep up with surrogates that still learn.
        epochs = context.settings.epochs
        self.optimisations = [Optimisation(model.parameters(), epochs=epochs, drops=()) for model in self.surrogates]

    def before_pass(self, context: Context, epoch: int) -> None:
        """A few steps of each surrogate on x + δ, then freeze it."""
        context.generator.eval()
        for surrogate, optimisation in zip(self.surrogates, self.optimisations, strict=True):
            surrogate.requires_grad_(True)
            for batch in islice(context.batches(), SURROGATE_STEPS):
                with torch.no_grad():
                    x_BCHW = context.perturbed(batch)
                context.surrogate_step(surrogate, optimisation, x_BCHW, batch.labels)
            optimisation.end_epoch()
            surrogate.eval().requires_grad_(False)
        self.frozen = [folded(model) for model in self.surrogates]

    def losses(self, context: Context, x_BCHW: torch.Tensor, batch: Batch) -> Iterator[torch.Tensor]:
        """L(F(aug(x + δ)), y) of the next surrogate."""
        surrogate = self.frozen[self.turn % len(self.frozen)]
        self.turn += 1
        yield context.loss(surrogate, *context.augmented(x_BCHW, batch.labels))

    def state_dict(self) -> dict[str, Any]:
        """The surrogates, their optimisations, and whose turn it is."""
        return {
            "turn": self.turn,
            "surrogates": [model.state_dict() for model in self.surrogates],
            "optimisations": [optimisation.state_dict() for optimisation in self.optimisations],
        }

    def load_state_dict(self, context: Context, state: dict[str, Any]) -> None:
        """The surrogates as they were."""
        self.prepare(context)
        self.turn = state["turn"]
        for model, weights in zip(self.surrogates, state["surrogates"], strict=True):
            model.load_state_dict(weights)
            model.eval().requires_grad_(False)
        self.frozen = [folded(model) for model in self.surrogates]
        for optimisation, stored in zip(self.optimisations, state["optimisations"], strict=True):
            optimisation.load_state_dict(stored)
