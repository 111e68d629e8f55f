"""EM against networks that are always fresh, inside the generator: no early stop escapes it (docs/method.md).

    min over the generator of  L(F(aug(x' + δ)), y)     F a small network that has just learned a few steps on x' + δ

Before each pass a FRESH network of the next kind learns for a few steps; it is what every victim is in its first steps.
In part of the steps the image of another sample stands for x' (swapped hosts): δ must win against the image that
carries it. Class codes (`stages/perturbers/codes.py`) learn by the same networks.

Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from stages.learning.optimise import to_device
from stages.learning.table import Batch
from stages.networks.folding import folded
from stages.networks.pool import POOL, PoolNetwork
from stages.perturbers.generator.methods.method import BaseMethod, Context
from stages.tasks.task_kind import TaskKind

NETWORK_STEPS = (20, 60)
"""Fewest and most steps that a fresh network learns for, of up to `TASKS` tasks."""

TASKS = 3
"""Where there are more it learns longer, in proportion. Of eight it learns nothing in 60 steps, and δ nothing from it:
class codes then left a victim 97 % (chance 50). Networks of 60 to 160 steps leave it 51 %."""

SWAPPED_IN_LEARNING = 0.5
"""Share of a network's steps whose images are other samples' than the labels'; of δ's own steps it is all."""


def fresh_network(
    name: str,
    kinds: Sequence[TaskKind],
    device: torch.device,
    rng: torch.Generator,
    loss: Callable[[PoolNetwork], torch.Tensor],
    tasks: int,
) -> PoolNetwork:
    """A new network after a few steps, frozen and in eval mode.

    Args:
        name: in `POOL`.
        kinds: K tasks.
        device: where to train.
        rng: CPU generator; decides the weights and the number of steps.
        loss: of the network on a batch of its own choice.
        tasks: how many the loss is about.
    """
    torch.manual_seed(int(torch.randint(2**31, (1,), generator=rng)))
    network = to_device(PoolNetwork(name, kinds), device).train()
    adam = torch.optim.Adam(network.parameters(), lr=network.learning_rate)
    steps = int(torch.randint(NETWORK_STEPS[0], NETWORK_STEPS[1] + 1, (1,), generator=rng))
    for _ in range(steps_of(steps, tasks)):
        found = loss(network)
        adam.zero_grad(set_to_none=True)
        found.backward()
        adam.step()
    return network.eval().requires_grad_(False)


def steps_of(drawn: float, tasks: int) -> int:
    """Steps that a network learns for, where `drawn` are those of up to `TASKS` tasks."""
    return round(drawn * max(1, tasks / TASKS))


class FreshNetworks(BaseMethod):
    """The generator is all that a network finds in its first steps, whatever its architecture."""

    def before_pass(self, context: Context, epoch: int) -> None:
        """A fresh network of the next kind learns on perturbed images."""
        context.generator.eval()
        batches = _endless(context)

        def loss(network: PoolNetwork) -> torch.Tensor:
            batch = next(batches)
            with torch.no_grad():
                x_BCHW = context.perturbed(batch)
                if float(torch.rand(1, generator=context.rng)) < SWAPPED_IN_LEARNING:
                    x_BCHW = on_other_hosts(x_BCHW, batch, context.rng)
            return context.loss(network, *context.augmented(x_BCHW, batch.labels))

        self.name = list(POOL)[epoch % len(POOL)]
        tasks = sum(context.protected)
        self.network = fresh_network(self.name, context.kinds, context.device, context.rng, loss, tasks)
        self.frozen = folded(self.network)

    def losses(self, context: Context, x_BCHW: torch.Tensor, batch: Batch) -> Iterator[torch.Tensor]:
        """L(F(aug(x' + δ)), y) with the images of other samples."""
        swapped_BCHW = on_other_hosts(x_BCHW, batch, context.rng)
        yield context.loss(self.frozen, *context.augmented(swapped_BCHW, batch.labels))

    def state_dict(self) -> dict[str, Any]:
        """The network of this pass."""
        return {"name": self.name, "network": self.network.state_dict()}

    def load_state_dict(self, context: Context, state: dict[str, Any]) -> None:
        """The network as it was learned."""
        self.name = state["name"]
        self.network = to_device(PoolNetwork(self.name, context.kinds), context.device)
        self.network.load_state_dict(state["network"])
        self.network.eval().requires_grad_(False)
        self.frozen = folded(self.network)


def on_other_hosts(x_BCHW: torch.Tensor, batch: Batch, rng: torch.Generator) -> torch.Tensor:
    """The batch's δ on other samples' images: x' + δ cut to [0, 1] as published pixels are; gradients pass the cut.

    Args:
        x_BCHW: x + δ of the batch.
        batch: with x.
        rng: CPU generator; shuffles the hosts.
    """
    hosts_B = torch.randperm(len(x_BCHW), generator=rng).to(x_BCHW.device)
    moved_BCHW = batch.x_BCHW[hosts_B] + (x_BCHW - batch.x_BCHW)
    shown_BCHW: torch.Tensor = moved_BCHW + (moved_BCHW.clamp(0, 1) - moved_BCHW).detach()
    return shown_BCHW


def _endless(context: Context) -> Iterator[Batch]:
    while True:
        yield from context.batches()
