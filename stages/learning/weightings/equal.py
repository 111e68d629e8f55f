"""LS, linear scalarisation with equal weights.

L = 1/K · Σ_k L_k          over the K tasks in the batch
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from stages.learning.weightings.base import Weighting


class Equal(Weighting):
    """Every task counts the same.

    Example:
        >>> features = torch.tensor([[1.0, 2.0]], requires_grad=True)
        >>> Equal(2, torch.Generator()).backward({0: features.sum(), 1: 3 * features.sum()}, features)
        >>> features.grad.tolist()
        [[2.0, 2.0]]
    """

    def backward(self, losses: Mapping[int, torch.Tensor], features: torch.Tensor) -> None:
        """One backward pass through the mean."""
        torch.stack(list(losses.values())).mean().backward()
