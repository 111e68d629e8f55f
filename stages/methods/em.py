"""EM, error-minimising noise (Huang et al., ICLR 2021), inside the generator.

    min over generator and surrogate of  L(F(aug(x + δ)), y)

in turns: a few surrogate steps on the perturbed data, then one pass of generator steps through the frozen surrogate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from stages.learning.optimise import Optimisation
from stages.learning.table import Batch
from stages.methods.base import BaseMethod, Context

SURROGATE_STEPS = 20
"""Surrogate steps before each pass of the generator, one pass over the data at most."""


class ErrorMinimising(BaseMethod):
    """The generator makes the surrogate's task so easy that nothing is left to learn from the image."""

    def prepare(self, context: Context) -> None:
        """Make the surrogate; it starts untrained."""
        self.surrogate = context.new_surrogate()
        # Its learning rate stays: the generator must keep up with a surrogate that still learns.
        self.optimisation = Optimisation(self.surrogate.parameters(), epochs=context.settings.epochs, drops=())

    def before_pass(self, context: Context, epoch: int) -> None:
        """A few surrogate steps on x + δ, then freeze it."""
        self.surrogate.requires_grad_(True)
        context.generator.eval()
        for _, batch in zip(range(SURROGATE_STEPS), context.batches(), strict=False):
            with torch.no_grad():
                x_BCHW = context.perturbed(batch)
            context.surrogate_step(self.surrogate, self.optimisation, x_BCHW, batch.labels)
        self.optimisation.end_epoch()
        self.surrogate.eval().requires_grad_(False)

    def losses(self, context: Context, x_BCHW: torch.Tensor, batch: Batch) -> Iterator[torch.Tensor]:
        """L(F(aug(x + δ)), y)."""
        yield context.surrogate_loss(self.surrogate, x_BCHW, batch.labels)

    def state_dict(self) -> dict[str, Any]:
        """The surrogate and its optimisation."""
        return {"surrogate": self.surrogate.state_dict(), "optimisation": self.optimisation.state_dict()}

    def load_state_dict(self, context: Context, state: dict[str, Any]) -> None:
        """The surrogate as it was."""
        self.prepare(context)
        self.surrogate.load_state_dict(state["surrogate"])
        self.optimisation.load_state_dict(state["optimisation"])
