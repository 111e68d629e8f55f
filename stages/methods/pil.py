"""PIL, perturbing by linear inducement (ICLR 2026), inside the generator.

    min over the generator of  0.9·Σ_k L(f_k(-δ), y^k) + 0.1·Σ_k H(f_k(x + δ))     f_k bias-free linear, clean, frozen

As the sign steps of `stages/models/linear.py`, of which minus is published, so the generator's δ is minus theirs.
H is least where f_k prefers no answer. Each image is cut to [0, 1]; the cut is part of δ here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import torch

from schemas.plans import GeneratorSpec
from stages.learning.augment import augment_with_labels
from stages.learning.optimise import Optimisation, to_device
from stages.learning.table import Batch, ImageTable
from stages.methods.base import BaseMethod, Context, Phase
from stages.models.linear import LinearInducement


def learn_heads(
    network: LinearInducement,
    table: ImageTable,
    device: torch.device,
    rng: torch.Generator,
    *,
    epochs: int,
    batch_size: int,
    augmentation: list[str],
    report: Callable[[str, int, int], None],
) -> list[float]:
    """Train bias-free linear heads on shifted clean images; they are frozen afterwards.

    Returns:
        The mean loss of each pass; NaN or infinite where it diverged.
    """
    optimisation = Optimisation(network.parameters(), epochs=epochs)
    losses = []
    for epoch in range(epochs):
        total, count = 0.0, 0
        for batch in table.batches(batch_size, rng, device):
            optimisation.clear()
            found = network.losses(*augment_with_labels(batch.x_BCHW, batch.labels, network.kinds, augmentation, rng))
            if found:
                loss = torch.stack(found).mean()
                loss.backward()
                optimisation.step()
                total, count = total + float(loss.detach()), count + 1
        optimisation.end_epoch()
        losses.append(total / max(1, count))
        report("linear", epoch + 1, epochs)
    network.eval().requires_grad_(False)
    return losses


class LinearInducing(BaseMethod):
    """The generator shows minus what a linear model takes for the class."""

    phases = (Phase("linear", "surrogate_epochs"), Phase("generator", "epochs"))

    def prepare(self, context: Context) -> None:
        """Train the heads on clean images."""
        self._make(context)
        settings = context.settings
        learn_heads(
            self.network,
            context.table,
            context.device,
            context.rng,
            epochs=settings.surrogate_epochs,
            batch_size=settings.batch_size,
            augmentation=list(settings.augment),
            report=context.report,
        )

    def _make(self, context: Context) -> None:
        self.network = to_device(LinearInducement(cast(GeneratorSpec, context.generator.spec)), context.device)

    def losses(self, context: Context, x_BCHW: torch.Tensor, batch: Batch) -> Iterator[torch.Tensor]:
        """The objective of the linear heads at minus δ."""
        yield self.network.objective(batch.x_BCHW, batch.x_BCHW - x_BCHW, batch.labels)

    def state_dict(self) -> dict[str, Any]:
        """The heads, which are learned once."""
        return {"network": self.network.state_dict()}

    def load_state_dict(self, context: Context, state: dict[str, Any]) -> None:
        """The heads as they were learned."""
        self._make(context)
        self.network.load_state_dict(state["network"])
        self.network.eval().requires_grad_(False)
