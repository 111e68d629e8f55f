"""How a training computes: optimiser and schedule of generator, surrogates and victims alike, and its threads."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def to_device(network: Network, device: torch.device) -> Network:
    """Move a network to a device, with its weights in channels-last memory (1.6 times as fast on a CPU)."""
    network.to(memory_format=torch.channels_last)
    return network.to(device)


class Optimisation:
    """Adam 1e-3, weight decay 1e-4, learning rate ×0.1 at two shares of the epochs, gradient norm clipped at 5.

    Args:
        parameters: what is optimised.
        epochs: length of the whole run.
        drops: shares of `epochs` at which the learning rate falls; none keeps it.
        learning_rate: of Adam.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        epochs: int,
        drops: tuple[float, ...] = (0.6, 0.8),
        learning_rate: float = 1e-3,
    ) -> None:
        self.parameters = list(parameters)
        self.adam = torch.optim.Adam(self.parameters, lr=learning_rate, weight_decay=1e-4)
        milestones = sorted({max(1, round(drop * epochs)) for drop in drops})
        self.schedule = torch.optim.lr_scheduler.MultiStepLR(self.adam, milestones, gamma=0.1)

    def clear(self) -> None:
        """Forget the gradients; before a step's first backward pass."""
        self.adam.zero_grad(set_to_none=True)

    def step(self) -> None:
        """One step down the gradients that were collected since `clear`."""
        nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.adam.step()

    def end_epoch(self) -> None:
        """Move the schedule on by one epoch."""
        self.schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """What another optimisation of the same length needs to go on from here."""
        return {"adam": self.adam.state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.adam.load_state_dict(state["adam"])
        self.schedule.load_state_dict(state["schedule"])


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with `count` threads; afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def clock() -> float:
    """Seconds: of a GPU on the wall; of a CPU those it worked, by thread, so that another load changes no estimate."""
    return time.monotonic() if torch.cuda.is_available() else time.process_time() / torch.get_num_threads()
