"""The contract of a differentiable transformation: a batch in, a batch out, and gradients back to every pixel.

A new one is one file with a class that derives from `Distortion`, a line in `registry.py`, and its name in
`Distorting` (schemas/training.py).

Shapes: B images, C channels, H×W pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch


class Distortion(ABC):
    """What an attacker does to all images, at a strength that is drawn anew at every step."""

    @abstractmethod
    def __call__(self, x_BCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Distort a batch; its size and the places in it stay.

        Args:
            x_BCHW: B×3×H×W in [0, 1].
            rng: CPU generator; the only source of randomness.

        Returns:
            B×3×H×W in about [0, 1], differentiable in `x_BCHW`.
        """


def uniform(low: float, high: float, rng: torch.Generator) -> float:
    """A number between two others."""
    return low + (high - low) * float(torch.rand(1, generator=rng))
