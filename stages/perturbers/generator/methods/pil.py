"""PIL, perturbing by linear inducement (ICLR 2026), inside the generator.

    min over the generator of  0.9·Σ_k L(f_k(-δ), y^k) + 0.1·Σ_k H(f_k(x + δ))     f_k bias-free linear, clean, frozen

As the sign steps of `stages/perturbers/linear.py`, of which minus is published, so the generator's δ is minus theirs.
H is least where f_k prefers no answer. Each image is cut to [0, 1]; the cut is part of δ here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch

from schemas.plans import GeneratorSpec
from stages.learning.optimise import to_device
from stages.learning.table import Batch
from stages.perturbers.generator.methods.method import BaseMethod, Context
from stages.perturbers.linear import HeadsTraining, LinearInducement
from stages.perturbers.training import Phase


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
