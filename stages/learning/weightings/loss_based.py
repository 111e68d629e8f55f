"""Weightings that weigh the losses of the tasks: equal, random, by learned variances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from stages.learning.weightings.weighting import Weighting


class Equal(Weighting):
    """Every task counts the same.

    LS, linear scalarisation with equal weights.

    L = 1/K · Σ_k L_k          over the K tasks in the batch

    Example:
        >>> features = torch.tensor([[1.0, 2.0]], requires_grad=True)
        >>> Equal(2, torch.Generator()).backward({0: features.sum(), 1: 3 * features.sum()}, features)
        >>> features.grad.tolist()
        [[2.0, 2.0]]
    """

    def backward(self, losses: Mapping[int, torch.Tensor], features: torch.Tensor) -> None:
        """One backward pass through the mean."""
        torch.stack(list(losses.values())).mean().backward()


class RandomWeighting(Weighting):
    """Weights that are drawn for each step; each task's is 1/K on average.

    RLW, random loss weighting (Lin et al., "Reasonable Effectiveness of Random Weighting", TMLR 2022).

    L = Σ_k w_k L_k          w = softmax(z),  z_k ~ N(0, 1), drawn anew for each step

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


class UncertaintyWeighting(Weighting):
    """Tasks whose loss stays large get a large variance and count less.

    UW, uncertainty weighting (Kendall, Gal and Cipolla, "Multi-Task Learning Using Uncertainty", CVPR 2018, eq. 10).

        L = Σ_k exp(-s_k) · L_k + s_k / 2          s_k = log σ_k², learned with the model, 0 at the start

    This is their form for classification; that for a squared error, exp(-s_k)/2, is the same with s_k moved by log 2.

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
