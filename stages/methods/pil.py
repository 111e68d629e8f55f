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
from schemas.training import Train
from stages.learning.augment import augment_with_labels
from stages.learning.optimise import Optimisation, to_device
from stages.learning.table import Batch, ImageTable
from stages.methods.base import BaseMethod, Context, Phase
from stages.models.linear import LinearInducement


class HeadsTraining:
    """Training of bias-free linear heads on shifted clean images, pass by pass; at its end they are frozen.

    Args:
        network: with heads that have learned nothing yet.
        table: clean images.
        device: where to train.
        rng: CPU generator; order of batches, augmentation.
        settings: number of passes, size of a batch, augmentation.
    """

    def __init__(
        self, network: LinearInducement, table: ImageTable, device: torch.device, rng: torch.Generator, settings: Train
    ) -> None:
        self.network, self.table, self.device, self.rng, self.settings = network, table, device, rng, settings
        self.optimisation = Optimisation(network.parameters(), epochs=settings.surrogate_epochs)
        self.losses: list[float] = []
        """Mean of each pass that is done; NaN or infinite where it diverged."""

    def run(self, report: Callable[[str, int, int], None], checkpoint: Callable[[], None]) -> None:
        """All passes that are left; `checkpoint` is called where the state can be stored."""
        passes = self.settings.surrogate_epochs
        while len(self.losses) < passes:
            self.losses.append(self._run_pass())
            report("linear", len(self.losses), passes)
            checkpoint()
        self._freeze()

    def _run_pass(self) -> float:
        total, count = 0.0, 0
        for batch in self.table.batches(self.settings.batch_size, self.rng, self.device):
            self.optimisation.clear()
            kinds, augmentation = self.network.kinds, self.settings.augment
            found = self.network.losses(*augment_with_labels(batch.x_BCHW, batch.labels, kinds, augmentation, self.rng))
            if found:
                loss = torch.stack(found).mean()
                loss.backward()
                self.optimisation.step()
                total, count = total + float(loss.detach()), count + 1
        self.optimisation.end_epoch()
        return total / max(1, count)

    def state_dict(self) -> dict[str, Any]:
        """All but the state of `rng` that another training needs to go on after this pass."""
        return {
            "network": self.network.state_dict(),
            "optimisation": self.optimisation.state_dict(),
            "losses": self.losses,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.network.load_state_dict(state["network"])
        self.optimisation.load_state_dict(state["optimisation"])
        self.losses = list(state["losses"])
        if len(self.losses) == self.settings.surrogate_epochs:
            self._freeze()

    def _freeze(self) -> None:
        self.network.eval().requires_grad_(False)


class LinearInducing(BaseMethod):
    """The generator shows minus what a linear model takes for the class."""

    phases = (Phase("linear", "surrogate_epochs"), Phase("generator", "epochs"))

    heads: HeadsTraining | None = None
    """From `prepare` on."""

    def prepare(self, context: Context) -> None:
        """Train the heads on clean images, or what is left of that."""
        heads = self.heads or self._made(context)
        heads.run(context.report, context.checkpoint)

    def _made(self, context: Context) -> HeadsTraining:
        spec = cast(GeneratorSpec, context.generator.spec)
        network = to_device(LinearInducement(spec), context.device)
        self.heads = HeadsTraining(network, context.table, context.device, context.rng, context.settings)
        return self.heads

    def losses(self, context: Context, x_BCHW: torch.Tensor, batch: Batch) -> Iterator[torch.Tensor]:
        """The objective of the linear heads at minus δ."""
        yield self._learned.network.objective(batch.x_BCHW, batch.x_BCHW - x_BCHW, batch.labels)

    def state_dict(self) -> dict[str, Any]:
        """The heads and how far they have learned."""
        return self._learned.state_dict()

    def load_state_dict(self, context: Context, state: dict[str, Any]) -> None:
        """The heads as they were."""
        self._made(context).load_state_dict(state)

    @property
    def _learned(self) -> HeadsTraining:
        assert self.heads is not None  # noqa: S101 - `prepare` or `load_state_dict` comes first
        return self.heads
