"""Task weightings: from the losses of K tasks to the gradients of one step; the contract, and one class each.

To add one: a class that derives from `Weighting`, a row in `_ROWS` below, and its name in `schemas/training.py`. It
derives from `GradientWeighting` if it only weighs the tasks' gradients by their inner products.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from schemas.plugins import WEIGHTINGS as GROUP
from schemas.plugins import Registry


class Weighting(nn.Module, ABC):
    """How the losses of several tasks become the gradients of one step; one for each training of a model.

    It is a module of the model that it trains (`MultiTaskModel.weighting`). What it learns is among the model's
    `parameters()`, so the optimiser sees it. It is in the model's `state_dict()`, so an interrupted training goes on.

    Args:
        tasks: K.
        rng: CPU generator of the training, for weightings that draw; the others leave it alone.
    """

    def __init__(self, tasks: int, rng: torch.Generator) -> None:
        super().__init__()
        self.tasks, self.rng = tasks, rng

    @abstractmethod
    def backward(self, losses: Mapping[int, torch.Tensor], features: torch.Tensor) -> None:
        """Add the gradients of one step to the model's parameters and to its own.

        Args:
            losses: task, 0..K-1 → its scalar loss, for each task that has a label in the batch; at least one. The
                parameters of a task that is absent get no gradient at all, so the optimiser leaves them as they are.
            features: output of the layer that all heads share, first axis B; the losses were computed from it.
        """


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
    """Weights that are drawn for each step; each is 1/K on average.

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


class GradientWeighting(Weighting):
    """The shared part of the model gets Σ_k w_k g_k, each head the gradient of its own task's loss.

    What gradient-based weightings have in common: they weigh the tasks by the inner products of their gradients.

    g_k is the gradient of task k's loss with respect to the shared features, not to the shared parameters. It takes K
    passes through the heads and one through the backbone, instead of K through the backbone. Sources: the upper bound
    of Sener and Koltun, NeurIPS 2018; "Aligned-MTL-UB" in Senushkin et al., CVPR 2023.

    The price: a task that is solved early keeps its full say in a space where gradients hardly overlap. On three easy
    drawn tasks such victims reached 60 to 95 %, and equal weights 87 to 100 %. Victims by the parameters' gradients
    reached 92 to 100 %, at some four times the cost of a step.
    """

    @abstractmethod
    def weights(self, gramian_KK: torch.Tensor) -> torch.Tensor:
        """w, K float64 on the CPU, from ⟨g_i, g_j⟩, K×K float64 on the CPU; K here counts the tasks in the batch."""

    def backward(self, losses: Mapping[int, torch.Tensor], features: torch.Tensor) -> None:
        """Where the gradient of Σ_k L_k passes the shared features, the weighted one takes its place."""
        rows = [torch.autograd.grad(loss, features, retain_graph=True)[0].flatten() for loss in losses.values()]
        jacobian_KN = torch.stack(rows)
        exact_KN = jacobian_KN.double()  # eigenvalues near zero must not drown in rounding
        weights_K = self.weights((exact_KN @ exact_KN.T).cpu()).to(jacobian_KN)
        combined = (weights_K @ jacobian_KN).view_as(features)
        hook = features.register_hook(lambda _: combined)
        torch.stack(list(losses.values())).sum().backward()
        hook.remove()


class AlignedWeighting(GradientWeighting):
    """Tasks with long gradients, and tasks that pull the same way as others, count less.

    Aligned-MTL (Senushkin et al., "Independent Component Alignment for Multi-Task Learning", CVPR 2023, algorithm 1).

        G Gᵀ = V diag(λ) Vᵀ          rows of G: the tasks' gradients g_k
        w = √λ_min · V diag(1/√λ) Vᵀ · (1/K, …, 1/K)

    The gradients are moved as little as possible until they are orthogonal and of equal length, then averaged: the
    result never points against their mean. It can point against a single task only where the gradients are far from
    orthogonal. Senushkin et al. measure that by the condition number √(λ_max / λ_min). λ_min is the smallest eigenvalue
    above zero.

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


FAIR_ALPHA = 1.0
"""α, above 0."""

FAIR_FLOOR = 1e-10
"""Added to squared gradient norms, whose mean is 1 here: a task that has nothing left to learn gets a finite weight."""

FAIR_STEPS = 60
"""Newton steps at most; 3 to 8 are usual."""


def fair_weights(gramian_KK: torch.Tensor, alpha: float = FAIR_ALPHA) -> torch.Tensor:
    """w > 0 with gramian·w = w^(-1/α), for a positive semidefinite K×K float64.

    FairGrad (Ban and Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024, eq. 4).

        G Gᵀ w = w^(-1/α)          rows of G: the tasks' gradients g_k; w > 0, the power entry by entry

    Along d = Gᵀw every task improves at the rate w_k^(-1/α): what a weak task needs to keep up decides its weight. α =
    1 is proportional fairness, where |d|² = K; α → ∞ would be max-min fairness.

    torchjd 0.18 has FairGrad too, by SciPy's least squares with finite differences. On gradients of norm 1e-4, such as
    those of shared features, it stops where it starts: the largest |w_k·(G Gᵀ w)_k - 1| stays near 1. On gradients of
    norm 1 it falls to 1e-4. This function takes Newton's steps on the convex function whose minimum the equation
    describes, whatever the scale. Its figure is below 1e-6 too, but up to 1e-2 where norms differ by a factor of 1e4 or
    gradients nearly cancel. That is the price of `FAIR_FLOOR`.

    Example:
        >>> fair_weights(torch.tensor([[4.0, 0.0], [0.0, 0.25]], dtype=torch.float64), alpha=1.0)
        tensor([0.5000, 2.0000], dtype=torch.float64)
    """
    scale = gramian_KK.diagonal().mean()
    if not scale > 0:
        return torch.ones_like(gramian_KK[0])
    scaled_KK = gramian_KK / scale + FAIR_FLOOR * torch.eye(len(gramian_KK), dtype=gramian_KK.dtype)
    w_K = scaled_KK.diagonal() ** (-alpha / (1 + alpha))  # the answer where no two gradients have anything in common
    for _ in range(FAIR_STEPS):
        wanted_K = w_K ** (-1 / alpha)
        excess_K = scaled_KK @ w_K - wanted_K
        if bool((excess_K.abs() <= 1e-6 * wanted_K).all()):
            break
        step_K = torch.linalg.solve(scaled_KK + torch.diag(wanted_K / (alpha * w_K)), -excess_K)
        # At most nine tenths of the way to where a weight would be 0.
        w_K = w_K + step_K / max(1.0, float((-step_K / w_K).max()) / 0.9)
    return w_K * scale ** (-alpha / (1 + alpha))


class FairWeighting(GradientWeighting):
    """Every task improves, the weak ones at nearly the rate of the strong ones.

    Example:
        >>> jacobian = torch.tensor([[2.0, 0.0], [0.0, 0.5]], dtype=torch.float64)
        >>> weights = FairWeighting(2, torch.Generator()).weights(jacobian @ jacobian.T)
        >>> weights @ jacobian
        tensor([1.0000, 1.0000], dtype=torch.float64)
    """

    def weights(self, gramian_KK: torch.Tensor) -> torch.Tensor:
        """The solution for α = `FAIR_ALPHA`."""
        return fair_weights(gramian_KK)


def _made(found: Any) -> type[Weighting]:
    """What an entry point leads to: the class of a weighting."""
    if not (isinstance(found, type) and issubclass(found, Weighting)):
        raise TypeError("it must be a class that derives from stages.learning.weightings.Weighting")
    return found


_ROWS: dict[str, type[Weighting]] = {
    "ls": Equal,
    "rlw": RandomWeighting,
    "uw": UncertaintyWeighting,
    "aligned_mtl": AlignedWeighting,
    "fairgrad": FairWeighting,
}

WEIGHTINGS = Registry(GROUP, _ROWS, _made)
"""Our own, and those of installed packages."""
