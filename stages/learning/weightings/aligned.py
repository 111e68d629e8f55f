"""Aligned-MTL (Senushkin et al., "Independent Component Alignment for Multi-Task Learning", CVPR 2023, algorithm 1).

    G Gᵀ = V diag(λ) Vᵀ          rows of G: the tasks' gradients g_k
    w = √λ_min · V diag(1/√λ) Vᵀ · (1/K, …, 1/K)

The gradients are moved as little as possible until they are orthogonal and of equal length, then averaged: the result
never points against their mean. Against a single task it can point only where the gradients are far from orthogonal,
which Senushkin et al. measure by the condition number √(λ_max / λ_min). λ_min is the smallest eigenvalue above zero.
"""

from __future__ import annotations

import torch

from stages.learning.weightings.gradients import GradientWeighting


class AlignedWeighting(GradientWeighting):
    """Tasks with long gradients, and tasks that pull the same way as others, count less.

    Example:
        >>> jacobian = torch.tensor([[1.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
        >>> weights = AlignedWeighting(2, torch.Generator()).weights(jacobian @ jacobian.T)
        >>> weights @ jacobian
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    def __init__(self, tasks: int, rng: torch.Generator) -> None:
        from torchjd.aggregation import AlignedMTLWeighting

        super().__init__(tasks, rng)
        self.aligned = AlignedMTLWeighting(scale_mode="min")

    def weights(self, gramian_KK: torch.Tensor) -> torch.Tensor:
        """As torchjd computes them."""
        weights_K: torch.Tensor = self.aligned(gramian_KK)
        return weights_K
