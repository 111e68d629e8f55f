"""What every training gives back."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Trained:
    """A network that makes δ (in eval mode, on the CPU) and how its training went."""

    generator: nn.Module
    steps: int
    seconds: float
    losses: list[dict[str, float]]
    """Mean of each loss term per pass or round."""
    explained: float | None = None
    """Share of δ's variance that the labels explain (`stages/train/explained.py`); None: not measured."""
