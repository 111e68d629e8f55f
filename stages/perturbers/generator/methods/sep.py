"""SEP, self-ensemble protection (Chen et al., ICLR 2023), inside the generator.

    min over the generator of  1/N Σ_n L(F_n(x + δ), y')     F_n snapshots along one clean training, frozen

As TAP, without augmentation, and over the snapshots of one training; the loop computes δ once for all of them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch

from schemas.training import SNAPSHOTS
from stages.learning.table import Batch
from stages.networks.multitask import MultiTaskModel
from stages.perturbers.generator.methods.method import Context
from stages.perturbers.generator.methods.tap import TargetedPoisoning


class SelfEnsemble(TargetedPoisoning):
    """The generator fools a model as it was all along its training, which no single moment's weaknesses suffice for."""

    def make(self, context: Context) -> None:
        """Surrogates that have learned nothing yet, and no snapshot of them."""
        super().make(context)
        self.snapshots: list[MultiTaskModel] = []
        self.models = self.snapshots

    def after_epoch(self, context: Context, surrogate: MultiTaskModel, epoch: int) -> None:
        """Keep a snapshot when one is due."""
        epochs = context.settings.surrogate_epochs
        count = min(SNAPSHOTS, epochs)
        if epoch in {number * epochs // count for number in range(count)}:
            self.snapshots.append(copy.deepcopy(surrogate).eval().requires_grad_(False))

    def losses(self, context: Context, x_BCHW: torch.Tensor, batch: Batch) -> Iterator[torch.Tensor]:
        """One term a snapshot."""
        for snapshot in self.frozen:
            yield context.adversarial_loss(snapshot, context.distorted(x_BCHW), batch.labels) / len(self.frozen)

    def state_dict(self) -> dict[str, Any]:
        """The surrogates and their snapshots."""
        return {**super().state_dict(), "snapshots": [model.state_dict() for model in self.snapshots]}

    def load_state_dict(self, context: Context, state: dict[str, Any]) -> None:
        """The surrogates and their snapshots as they were."""
        super().load_state_dict(context, state)
        each = min(SNAPSHOTS, context.settings.surrogate_epochs)
        for number, weights in enumerate(state["snapshots"]):
            self.snapshots.append(copy.deepcopy(self.surrogates[number // each]).eval().requires_grad_(False))
            self.snapshots[-1].load_state_dict(weights)
        if not state["optimisations"]:  # all was learned
            self.freeze()
