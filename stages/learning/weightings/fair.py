"""FairGrad (Ban and Ji, "Fair Resource Allocation in Multi-Task Learning", ICML 2024, eq. 4).

    G Gᵀ w = w^(-1/α)          rows of G: the tasks' gradients g_k; w > 0, the power entry by entry

Along d = Gᵀw every task improves at the rate w_k^(-1/α): what a weak task needs to keep up decides its weight. α = 1 is
proportional fairness, where |d|² = K; α → ∞ would be max-min fairness.

torchjd 0.18 has FairGrad too, by SciPy's least squares with finite differences. On gradients as small as those of
shared features (norm 1e-4) that stops where it starts; with the gradients scaled up, it still does where those of two
tasks differ by a factor of 1e4. Below are Newton's steps on the convex function whose minimum the equation describes.
"""

from __future__ import annotations

import torch

from stages.learning.weightings.gradients import GradientWeighting

ALPHA = 1.0
"""α, above 0."""

FLOOR = 1e-10
"""Added to squared gradient norms, whose mean is 1 here: a task that has nothing left to learn gets a finite weight."""

STEPS = 60
"""Newton steps at most; 3 to 8 are usual."""


def fair_weights(gramian_KK: torch.Tensor, alpha: float = ALPHA) -> torch.Tensor:
    """w > 0 with gramian·w = w^(-1/α), for a positive semidefinite K×K float64.

    Example:
        >>> fair_weights(torch.tensor([[4.0, 0.0], [0.0, 0.25]], dtype=torch.float64), alpha=1.0)
        tensor([0.5000, 2.0000], dtype=torch.float64)
    """
    scale = gramian_KK.diagonal().mean()
    if not scale > 0:
        return torch.ones_like(gramian_KK[0])
    scaled_KK = gramian_KK / scale + FLOOR * torch.eye(len(gramian_KK), dtype=gramian_KK.dtype)
    w_K = scaled_KK.diagonal() ** (-alpha / (1 + alpha))  # the answer where no two gradients have anything in common
    for _ in range(STEPS):
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
        """The solution for α = `ALPHA`."""
        return fair_weights(gramian_KK)
