"""LS, linear scalarisation with equal weights: the mean of the losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from stages.learning.weightings.base import Weighting


class Equal(Weighting):
    """Every task counts the same."""

    def backward(self, losses: Sequence[torch.Tensor]) -> torch.Tensor:
        """One backward pass through the mean."""
        loss = torch.stack(list(losses)).mean()
        loss.backward()
        return loss.detach()
