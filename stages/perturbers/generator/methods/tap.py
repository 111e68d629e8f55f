"""TAP, targeted adversarial poisoning (Fowl et al., NeurIPS 2021), inside the generator.

    min over the generator of  L(F(aug(x + δ)), y')     y' = (y + ⌊C/2⌋) mod C     F trained on clean data, frozen

Untargeted: max L(F(aug(x + δ)), y), which keeps pushing after the class has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from stages.learning.optimise import Optimisation
from stages.learning.table import Batch
from stages.networks.folding import folded
from stages.networks.multitask import MultiTaskModel
from stages.perturbers.generator.methods.method import BaseMethod, Context
from stages.perturbers.training import Phase


class TargetedPoisoning(BaseMethod):
    """The generator makes every image look like another class to models that have learned the clean data."""

    phases = (Phase("surrogate", "surrogate_epochs"), Phase("generator", "epochs"))

    surrogates: Sequence[MultiTaskModel] = ()
    """Learned one after the other, then frozen."""

    def prepare(self, context: Context) -> None:
        """Train the surrogates on clean data, or what is left of that."""
        if not self.surrogates:
            self.make(context)
        epochs = context.settings.surrogate_epochs
        while self.learned < len(self.surrogates) * epochs:
            number, epoch = divmod(self.learned, epochs)
            surrogate, optimisation = self.surrogates[number], self.optimisations[number]
            for batch in context.batches():
                context.surrogate_step(surrogate, optimisation, batch.x_BCHW, batch.labels)
            optimisation.end_epoch()
            self.after_epoch(context, surrogate, epoch)
            self.learned += 1
            context.report("surrogate", self.learned, len(self.surrogates) * epochs)
            context.checkpoint()
        self.freeze()

    def make(self, context: Context) -> None:
        """Surrogates that have learned nothing yet."""
        self.turn, self.learned, self.surrogates = 0, 0, context.new_surrogates()
        self.models = self.surrogates
        epochs = context.settings.surrogate_epochs
        self.optimisations = [Optimisation(surrogate.parameters(), epochs=epochs) for surrogate in self.surrogates]

    def after_epoch(self, context: Context, surrogate: MultiTaskModel, epoch: int) -> None:
        """After each pass of a surrogate; for methods that look at it under way."""

    def losses(self, context: Context, x_BCHW: torch.Tensor, batch: Batch) -> Iterator[torch.Tensor]:
        """L(F(aug(x + δ)), y') of the next architecture, a term for each size at which it sees the images."""
        sizes = len(context.settings.surrogate_sizes)
        first = sizes * self.turn % len(self.surrogates)
        self.turn += 1
        for surrogate in self.frozen[first : first + sizes]:
            yield context.adversarial_loss(surrogate, *context.augmented(x_BCHW, batch.labels)) / sizes

    def state_dict(self) -> dict[str, Any]:
        """The surrogates, how far they have learned, and whose turn it is."""
        return {
            "turn": self.turn,
            "learned": self.learned,
            "surrogates": [model.state_dict() for model in self.surrogates],
            "optimisations": [optimisation.state_dict() for optimisation in self.optimisations],
        }

    def load_state_dict(self, context: Context, state: dict[str, Any]) -> None:
        """The surrogates as they were."""
        self.make(context)
        self.turn, self.learned = state["turn"], state["learned"]
        for model, weights in zip(self.surrogates, state["surrogates"], strict=True):
            model.load_state_dict(weights)
        if not state["optimisations"]:  # all was learned
            self.freeze()
        for optimisation, stored in zip(self.optimisations, state["optimisations"], strict=True):
            optimisation.load_state_dict(stored)

    def freeze(self) -> None:
        """The surrogates have learned."""
        self.optimisations = []
        for surrogate in self.surrogates:
            surrogate.eval().requires_grad_(False)
        self.frozen = [folded(model) for model in self.models]
