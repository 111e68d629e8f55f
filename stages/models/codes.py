"""Class codes: one learnable δ per task and class, added and cut; the same for every image of a class.

    δ = ε·clamp(Σ_k U^k[y^k], -1, 1)

The shortest form of the paper's point that consistency within a class is what counts: no encoder, no decoder.

Shapes: B images, C channels, R canonical resolution, K tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from schemas.plans import GeneratorSpec
from stages.tasks.registry import kinds_of

SPREAD = 0.5
"""Standard deviation of a code's values at the start, in units of ε."""


class ClassCodes(nn.Module):
    """Codes of the protected tasks at the canonical resolution; a task that is not to be protected has none.

    Args:
        spec: resolution R, ε and tasks.
    """

    def __init__(self, spec: GeneratorSpec) -> None:
        super().__init__()
        self.spec = spec
        self.embeddings = nn.ModuleDict(
            {
                str(number): kind.codes(3, spec.resolution)
                for number, (kind, wanted) in enumerate(zip(kinds_of(spec.tasks), spec.protected, strict=True))
                if wanted
            }
        )
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(SPREAD)

    def forward(self, x_BCHW: torch.Tensor, labels: Sequence[torch.Tensor], gray_B: torch.Tensor) -> torch.Tensor:
        """Perturbation of a batch at the canonical resolution.

        Args:
            x_BCHW: B×3×R×R; only its size matters.
            labels: of each task, first axis B; a missing one adds the mean of the task's codes.
            gray_B: bool; these images get one δ for all channels.

        Returns:
            δ, B×3×R×R in [-ε, +ε].
        """
        codes = [embedding(labels[int(number)]) for number, embedding in self.embeddings.items()]
        code_BCHW = torch.stack(codes).sum(dim=0)
        if bool(gray_B.any()):
            mean = code_BCHW.mean(dim=1, keepdim=True)
            code_BCHW = torch.where(gray_B[:, None, None, None], mean, code_BCHW)
        return self.spec.epsilon * code_BCHW.clamp(-1, 1)
