"""RLW, random loss weighting (Lin et al., "Reasonable Effectiveness of Random Weighting", TMLR 2022).

L = Σ_k w_k L_k          w = softmax(z),  z_k ~ N(0, 1), drawn anew for each step
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from stages.learning.weightings.base import Weighting


class RandomWeighting(Weighting):
    """Weights that are drawn for each step; each task's is 1/K on average.

    Example:
        >>> weighting = RandomWeighting(3, torch.Generator().manual_seed(0))
        >>> [round(weight, 2) for weight in weighting.weights([0, 1, 2]).tolist()]
        [0.84, 0.13, 0.02]
    """

    def weights(self, present: Iterable[int]) -> torch.Tensor:
        """Weights of the tasks `present`, which sum to 1; all K are drawn, so that labels do not shift later draws."""
        return torch.randn(self.tasks, generator=self.rng)[list(present)].softmax(dim=0)

    def backward(self, losses: Mapping[int, torch.Tensor], features: torch.Tensor) -> None:
        """One backward pass through the weighted sum."""
        values = torch.stack(list(losses.values()))
        (self.weights(losses).to(values) * values).sum().backward()
