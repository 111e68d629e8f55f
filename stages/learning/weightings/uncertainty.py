"""UW, uncertainty weighting (Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty", CVPR 2018, eq. 10).

    L = Σ_k exp(-s_k) · L_k + s_k / 2          s_k = log σ_k², learned with the model, 0 at the start

This is their form for classification; that for a squared error, exp(-s_k)/2, is the same with s_k moved by log 2.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from stages.learning.weightings.base import Weighting


class UncertaintyWeighting(Weighting):
    """Tasks whose loss stays large get a large variance and count less.

    Example:
        >>> weighting = UncertaintyWeighting(2, torch.Generator())
        >>> features = torch.tensor([[1.0, 2.0]], requires_grad=True)
        >>> weighting.backward({0: features.sum(), 1: 3 * features.sum()}, features)
        >>> features.grad.tolist(), [variance.grad.item() for variance in weighting.log_variances]
        ([[4.0, 4.0]], [-2.5, -8.5])
    """

    def __init__(self, tasks: int, rng: torch.Generator) -> None:
        super().__init__(tasks, rng)
        # A parameter a task: with one vector of K, Adam's momentum would move s_k also where task k is absent.
        self.log_variances = nn.ParameterList(nn.Parameter(torch.zeros(())) for _ in range(tasks))

    def backward(self, losses: Mapping[int, torch.Tensor], features: torch.Tensor) -> None:
        """One backward pass through the sum over the tasks in the batch."""
        terms = []
        for task, loss in losses.items():
            log_variance = self.log_variances[task]
            terms.append(torch.exp(-log_variance) * loss + log_variance / 2)
        torch.stack(terms).sum().backward()
